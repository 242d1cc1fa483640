"""Contents of each demo scene: shapes, textures, materials and light, all from the scene's name."""

from dataclasses import dataclass
from itertools import cycle

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.procedural.arrangements import ARRANGEMENTS
from maskrf_core.datasets.procedural.shapes import Mesh, make_shape
from maskrf_core.datasets.procedural.textures import make_texture, smooth_noise


@dataclass(frozen=True)
class Recipe:
    """Arrangement, shapes and textures that a scene draws from."""

    arrangement: str
    shapes: str
    textures: str


@dataclass(frozen=True)
class Item:
    """One object: mesh, colours (linear RGB) with their number of repeats, material and roughness."""

    mesh: Mesh
    texture: Float[np.ndarray, "height width 3"]
    repeats: tuple[float, float]
    material: str
    roughness: float


@dataclass(frozen=True)
class Composition:
    """A whole scene in z-up coordinates, about one unit in radius, lit from all around (linear RGB, latitude rows)."""

    items: list[Item]
    environment: Float[np.ndarray, "height width 3"]


_PLAIN = "checker stripes dots bricks speckle clouds confetti camouflage"
_RICH = "marble cells plaid contours speckle dots checker"
_HELD_OUT = "zigzag cells marble stripes bricks contours confetti clouds"
RECIPES: dict[str, Recipe] = {
    "train_00": Recipe("table", "sphere cube cylinder torus cone", _PLAIN),
    "train_01": Recipe("floating", "cube torus blob coil soap", _RICH),
    "train_02": Recipe("towers", "cube soap cylinder gear sphere", _PLAIN),
    "train_03": Recipe("court", "vase cone sphere pot cube egg ring", _RICH),
    "train_04": Recipe("corner", "blob screw cube torus gear", _PLAIN),
    "train_05": Recipe("basin", "sphere egg soap torus cube", _RICH),
    "train_06": Recipe("floating", "gear wedge sphere screw pot", _PLAIN),
    "train_07": Recipe("table", "vase pot bowl blob coil", _RICH),
    "train_08": Recipe("towers", "slab hexagon torus egg blob", _RICH),
    "train_09": Recipe("court", "screw cube sphere wedge torus hexagon gear", _PLAIN),
    "train_10": Recipe("corner", "cone vase egg hexagon ring", _RICH),
    "train_11": Recipe("floating", "ring sphere slab bowl cone", _RICH),
    "train_12": Recipe("table", "hourglass wedge hexagon soap burr", _PLAIN),
    "train_13": Recipe("basin", "blob cube cone hexagon ring", _PLAIN),
    "train_14": Recipe("court", "coil torus egg soap sphere vase cone", _RICH),
    "train_15": Recipe("towers", "pot cylinder wedge slab ring", _PLAIN),
    "train_16": Recipe("floating", "burr coil hourglass egg cylinder", _PLAIN),
    "train_17": Recipe("corner", "pot sphere hourglass wedge coil", _RICH),
    "validation_00": Recipe("table", "cushion cross spindle torus sphere vase", _HELD_OUT),
    "validation_01": Recipe("floating", "cross cushion pot spindle cone", _RICH),
    "test_00": Recipe("temple", "goblet pebble star sphere", _HELD_OUT),
    "test_01": Recipe("floating", "trefoil star goblet cube pebble cinquefoil", _HELD_OUT),
    "test_02": Recipe("table", "goblet star trefoil cylinder vase pebble", _HELD_OUT),
    "test_03": Recipe("corner", "cinquefoil star torus pebble goblet cone", _HELD_OUT),
}
"""Scene → its recipe. Goblet, star, pebble, both knots, the temple and zigzags stand in test scenes only."""

_SPLIT_SEEDS = {"train": 1, "validation": 2, "test": 3}


def scene_generator(scene: str) -> np.random.Generator:
    """Return the generator that everything in a scene is drawn from, fixed by its name (`train_07`)."""
    split, _, number = scene.partition("_")
    return np.random.default_rng([2304_04962, _SPLIT_SEEDS[split], int(number)])


def compose(scene: str, *, rng: np.random.Generator) -> Composition:
    """Draw objects and light of a scene."""
    recipe = RECIPES[scene]
    shapes, textures = recipe.shapes.split(), recipe.textures.split()
    kinds = cycle(rng.permutation(shapes).tolist())
    meshes = ARRANGEMENTS[recipe.arrangement](lambda: make_shape(next(kinds), rng=rng), rng)
    pictures = cycle(rng.permutation(textures).tolist())
    first_hue = rng.uniform()
    # Steps of the golden ratio keep the hues of all objects apart, however many they are.
    items = [_dress(mesh, next(pictures), first_hue + 0.382 * k, rng) for k, mesh in enumerate(meshes)]
    return Composition(items, _environment(rng))


def _dress(mesh: Mesh, picture: str, hue: float, rng: np.random.Generator) -> Item:
    material = str(rng.choice(["diffuse", "plastic", "metal"], p=[0.35, 0.45, 0.2]))
    roughness = float(rng.uniform(0.06, 0.25) if material == "plastic" else rng.uniform(0.2, 0.4))
    repeats = (float(rng.choice([1, 2])), 1.0)
    return Item(mesh, make_texture(picture, hue, rng=rng), repeats, material, roughness)


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
