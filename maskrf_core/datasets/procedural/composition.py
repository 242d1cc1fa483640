"""Contents of each demo scene: shapes, their arrangement, textures, materials and light, all from the scene's name."""

from collections.abc import Callable
from itertools import cycle
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.procedural.shapes import Mesh, make_shape, mesh_of, prism, revolve
from maskrf_core.datasets.procedural.textures import make_texture, smooth_noise

_PLATE = np.array([[0.8, 0.8], [-0.8, 0.8], [-0.8, -0.8], [0.8, -0.8]])
PLATE = mesh_of(prism(_PLATE, 0.08)).moved(offset=np.array([0, 0, -0.04]))
DISC = mesh_of([revolve([[0, 0], [1, 0]]), revolve([[1, 0], [1, -0.07]]), revolve([[0, -0.07], [1, -0.07]])])
Draw = Callable[[], Mesh]  # a function that returns the next shape of the scene, of unit radius


class Item(NamedTuple):
    """One object: mesh, colours (linear RGB) with their number of repeats, material and roughness."""

    mesh: Mesh
    texture: Float[np.ndarray, "height width 3"]
    repeats: tuple[float, float]
    material: str
    roughness: float


def _about_z(angle: float) -> Float[np.ndarray, "3 3"]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _any_rotation(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def _stand(mesh: Mesh, x: float, y: float, size: float, floor: float, rotation: np.ndarray) -> Mesh:
    """Give the mesh radius `size`, and put its lowest point on height `floor` above (x, y)."""
    mesh = mesh.moved(size, rotation)
    return mesh.moved(offset=np.array([x, y, floor - mesh.vertices[:, 2].min()]))


def _footprint(mesh: Mesh) -> float:
    return float(np.linalg.norm(mesh.vertices[:, :2], axis=1).max())


def _scatter(
    draw: Draw, count: int, sizes: tuple[float, float], taken: list, reach: float, rng: np.random.Generator
) -> list[Mesh]:
    """Place up to `count` shapes side by side on the ground, clear of the circles (x, y, radius) in `taken`."""
    placed: list[Mesh] = []
    for _ in range(200):
        if len(placed) == count:
            break
        mesh, size = draw(), rng.uniform(*sizes)
        radius = size * _footprint(mesh)
        angle, distance = rng.uniform(0, 2 * np.pi), (reach - radius) * np.sqrt(rng.uniform())
        x, y = distance * np.cos(angle), distance * np.sin(angle)
        if all(np.hypot(x - a, y - b) > 0.93 * (radius + c) for a, b, c in taken):
            taken.append((x, y, radius))
            placed.append(_stand(mesh, x, y, size, 0.0, _about_z(rng.uniform(0, 2 * np.pi))))
    return placed


def table(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Set many objects close together on a disc."""
    return [DISC, *_scatter(draw, 8, (0.26, 0.46), [], 0.97, rng)]


def towers(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Build three towers of shrinking objects on a square plate, small ones between."""
    placed, taken = [PLATE], []
    start = rng.uniform(0, 2 * np.pi)
    for k in range(3):
        angle, size, floor = start + k * 2.1 + rng.uniform(-0.2, 0.2), rng.uniform(0.36, 0.44), 0.0
        x, y = 0.5 * np.cos(angle), 0.5 * np.sin(angle)
        taken.append((x, y, size))
        for _ in range(3):
            placed.append(_stand(draw(), x, y, size, floor, _about_z(rng.uniform(0, 2 * np.pi))))
            floor, size = float(placed[-1].vertices[:, 2].max()) - 0.01, size * rng.uniform(0.66, 0.8)
    return placed + _scatter(draw, 3, (0.13, 0.2), taken, 0.85, rng)


def floating(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Let a loose swarm float without ground, turned every way."""
    placed, taken = [], []
    for _ in range(400):
        size, centre = rng.uniform(0.3, 0.46), rng.normal(size=3)
        centre *= (1.0 - size) * rng.uniform() ** 0.4 / np.linalg.norm(centre)
        if all(np.linalg.norm(centre - c) > 0.74 * (size + s) for c, s in taken) and len(placed) < 9:
            taken.append((centre, size))
            placed.append(draw().moved(size, _any_rotation(rng), centre + np.array([0, 0, 0.35])))
    return placed


def court(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Set one tall object in the middle, six around it at the rim."""
    middle = draw()
    placed = [DISC, _stand(middle, 0, 0, min(0.6, 0.36 / _footprint(middle)), 0.0, np.eye(3))]
    start = rng.uniform(0, 2 * np.pi)
    for k in range(6):
        angle, distance = start + k * np.pi / 3 + rng.uniform(-0.12, 0.12), rng.uniform(0.64, 0.74)
        x, y, turn = distance * np.cos(angle), distance * np.sin(angle), _about_z(rng.uniform(0, 2 * np.pi))
        placed.append(_stand(draw(), x, y, rng.uniform(0.22, 0.32), 0.0, turn))
    return placed


def basin(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Heap small objects in a wide bowl."""
    bowl = make_shape("bowl", rng=rng)
    placed = [_stand(bowl, 0, 0, 1.0, 0.0, np.eye(3))]
    for x, y, size in [(0, 0, 0.42), (0.5, 0.12, 0.3), (-0.12, 0.52, 0.3), (-0.5, -0.14, 0.32), (0.12, -0.52, 0.3)]:
        floor = 0.12 if x == 0 else 0.3
        placed.append(_stand(draw(), x, y, size * rng.uniform(0.9, 1.1), floor, _any_rotation(rng)))
    return placed


def corner(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Set objects before and behind two walls that meet at a right angle on a plate."""
    wall = mesh_of(prism(np.array([[0.75, 0.03], [-0.75, 0.03], [-0.75, -0.03], [0.75, -0.03]]), 0.62))
    walls = [
        wall.moved(rotation=_about_z(angle), offset=np.array([*offset, 0.31]))
        for angle, offset in [(0.0, (0.0, -0.2)), (np.pi / 2, (-0.1, 0.0))]
    ]
    taken = [(0.16 * k, -0.2, 0.05) for k in range(-5, 6)] + [(-0.1, 0.16 * k, 0.05) for k in range(-5, 6)]
    return [PLATE, *walls, *_scatter(draw, 7, (0.2, 0.34), taken, 1.0, rng)]


def temple(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Let six columns carry a roof over two objects; more stand outside."""
    shaft = make_shape("cylinder", rng=rng)
    placed, taken = [DISC], [(0, 0, 0.62)]
    columns = np.diag([0.32, 0.32, 1.0])
    for k in range(6):
        angle = k * np.pi / 3
        column = Mesh(shaft.vertices @ columns * 0.46, shaft.normals, shaft.uv, shaft.triangles)
        placed.append(_stand(column, 0.52 * np.cos(angle), 0.52 * np.sin(angle), 1.0, 0.0, np.eye(3)))
    roof = mesh_of(
        [revolve([[0.66, 0.0], [0.66, 0.07]]), revolve([[0, 0], [0.66, 0]]), revolve([[0.66, 0.07], [0, 0.34]])]
    )
    placed.append(roof.moved(offset=np.array([0, 0, 0.68])))
    for x, y in [(0.17, 0.08), (-0.2, -0.1)]:
        placed.append(_stand(draw(), x, y, rng.uniform(0.24, 0.3), 0.0, _about_z(rng.uniform(0, 2 * np.pi))))
    return placed + _scatter(draw, 5, (0.16, 0.2), taken, 1.0, rng)


_PLAIN = "checker stripes dots bricks speckle clouds confetti camouflage"
_RICH = "marble cells plaid contours speckle dots checker"
_HELD_OUT = "zigzag cells marble stripes bricks contours confetti clouds"
RECIPES = {  # scene → its arrangement, shapes and textures; some of them stand in test scenes only
    "train_00": (table, "sphere cube cylinder torus cone", _PLAIN),
    "train_01": (floating, "cube torus blob coil soap", _RICH),
    "train_02": (towers, "cube soap cylinder gear sphere", _PLAIN),
    "train_03": (court, "vase cone sphere pot cube egg ring", _RICH),
    "train_04": (corner, "blob screw cube torus gear", _PLAIN),
    "train_05": (basin, "sphere egg soap torus cube", _RICH),
    "train_06": (floating, "gear wedge sphere screw pot", _PLAIN),
    "train_07": (table, "vase pot bowl blob coil", _RICH),
    "train_08": (towers, "slab hexagon torus egg blob", _RICH),
    "train_09": (court, "screw cube sphere wedge torus hexagon gear", _PLAIN),
    "train_10": (corner, "cone vase egg hexagon ring", _RICH),
    "train_11": (floating, "ring sphere slab bowl cone", _RICH),
    "train_12": (table, "hourglass wedge hexagon soap burr", _PLAIN),
    "train_13": (basin, "blob cube cone hexagon ring", _PLAIN),
    "train_14": (court, "coil torus egg soap sphere vase cone", _RICH),
    "train_15": (towers, "pot cylinder wedge slab ring", _PLAIN),
    "train_16": (floating, "burr coil hourglass egg cylinder", _PLAIN),
    "train_17": (corner, "pot sphere hourglass wedge coil", _RICH),
    "validation_00": (table, "cushion cross spindle torus sphere vase", _HELD_OUT),
    "validation_01": (floating, "cross cushion pot spindle cone", _RICH),
    "test_00": (temple, "goblet pebble star sphere", _HELD_OUT),
    "test_01": (floating, "trefoil star goblet cube pebble cinquefoil", _HELD_OUT),
    "test_02": (table, "goblet star trefoil cylinder vase pebble", _HELD_OUT),
    "test_03": (corner, "cinquefoil star torus pebble goblet cone", _HELD_OUT),
}
SPLIT_SEEDS = {"train": 1, "validation": 2, "test": 3}


def scene_generator(scene: str) -> np.random.Generator:
    """Return the generator that everything in a scene is drawn from, fixed by its name (`train_07`)."""
    split, _, number = scene.partition("_")
    return np.random.default_rng([2304_04962, SPLIT_SEEDS[split], int(number)])


def compose(scene: str, *, rng: np.random.Generator) -> tuple[list[Item], Float[np.ndarray, "height width 3"]]:
    """Draw the objects of a scene, z up and within about one unit, and its light (linear RGB, latitude rows)."""
    arrangement, shapes, textures = RECIPES[scene]
    kinds = cycle(rng.permutation(shapes.split()).tolist())
    meshes = arrangement(lambda: make_shape(next(kinds), rng=rng), rng)
    pictures = cycle(rng.permutation(textures.split()).tolist())
    first_hue = rng.uniform()
    items = []
    for index, mesh in enumerate(meshes):
        material = str(rng.choice(["diffuse", "plastic", "metal"], p=[0.35, 0.45, 0.2]))
        roughness = float(rng.uniform(0.06, 0.25) if material == "plastic" else rng.uniform(0.2, 0.4))
        repeats = (float(rng.choice([1, 2])), 1.0)
        # Steps of the golden ratio keep the hues of all objects apart, however many they are.
        texture = make_texture(next(pictures), first_hue + 0.382 * index, rng=rng)
        items.append(Item(mesh, texture, repeats, material, roughness))
    return items, _environment(rng)


def _environment(rng: np.random.Generator) -> Float[np.ndarray, "height width 3"]:
    """Light a studio: dim tinted surroundings, a strong soft box and two weak ones; level white is overexposed."""
    height, width = 64, 128
    polar, azimuth = np.meshgrid(
        (np.arange(height) + 0.5) * np.pi / height, (np.arange(width) + 0.5) * 2 * np.pi / width, indexing="ij"
    )
    towards = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], -1)
    solid_angle = np.sin(polar) * (np.pi / height) * (2 * np.pi / width)
    level = np.clip(towards[..., 2], 0, None) * solid_angle / np.pi

    def tint(strength: float) -> Float[np.ndarray, "3"]:
        warm = rng.uniform(-strength, strength)
        return np.array([1 + warm, 1.0, 1 - warm])

    light = (0.75 + 0.25 * towards[..., 2:]) * (0.8 + 0.4 * smooth_noise(2.0, rng=rng)[::4, ::2, None]) * tint(0.15)
    light *= 0.6 / (light.mean(-1) * level).sum()
    share = [
        (0.52, 0.3, rng.uniform(0.5, 0.9)),
        (0.08, 0.25, rng.uniform(0.9, 1.3)),
        (0.07, 0.2, rng.uniform(0.9, 1.4)),
    ]
    start = rng.uniform(0, 2 * np.pi)
    for k, (energy, radius, inclination) in enumerate(share):
        around = start + k * 2.1 + rng.uniform(-0.4, 0.4)
        axis = [np.sin(inclination) * np.cos(around), np.sin(inclination) * np.sin(around), np.cos(inclination)]
        box = np.clip((radius - np.arccos(np.clip(towards @ axis, -1, 1))) / 0.05, 0, 1)[..., None] * tint(0.25)
        light = light + box * energy / (box.mean(-1) * level).sum()
    return light
