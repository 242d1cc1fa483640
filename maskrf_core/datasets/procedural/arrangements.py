"""How objects stand together: on a table, in towers, floating, about a court, in a basin, at a corner, in a temple."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.procedural.shapes import Mesh, make_shape, mesh_of, prism, revolve

_PLATE = np.array([[0.8, 0.8], [-0.8, 0.8], [-0.8, -0.8], [0.8, -0.8]])
PLATE = mesh_of(prism(_PLATE, 0.08)).moved(offset=np.array([0, 0, -0.04]))
DISC = mesh_of([revolve([[0, 0], [1, 0]]), revolve([[1, 0], [1, -0.07]]), revolve([[0, -0.07], [1, -0.07]])])
Draw = Callable[[], Mesh]  # a function that returns the next shape of the scene, of unit radius


def about_z(angle: float) -> Float[np.ndarray, "3 3"]:
    """Return the rotation by so many radians about the vertical."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def any_rotation(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """Draw a rotation, all being equally likely."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def stand(mesh: Mesh, x: float, y: float, size: float, floor: float, rotation: np.ndarray) -> Mesh:
    """Give the mesh radius `size`, and put its lowest point on height `floor` above (x, y)."""
    mesh = mesh.moved(size, rotation)
    return mesh.moved(offset=np.array([x, y, floor - mesh.vertices[:, 2].min()]))


def footprint(mesh: Mesh) -> float:
    return float(np.linalg.norm(mesh.vertices[:, :2], axis=1).max())


def scatter(
    draw: Draw, count: int, sizes: tuple[float, float], taken: list, reach: float, rng: np.random.Generator
) -> list[Mesh]:
    """Place up to `count` shapes side by side on the ground, clear of the circles (x, y, radius) in `taken`."""
    placed: list[Mesh] = []
    for _ in range(200):
        if len(placed) == count:
            break
        mesh, size = draw(), rng.uniform(*sizes)
        radius = size * footprint(mesh)
        angle, distance = rng.uniform(0, 2 * np.pi), (reach - radius) * np.sqrt(rng.uniform())
        x, y = distance * np.cos(angle), distance * np.sin(angle)
        if all(np.hypot(x - a, y - b) > 0.93 * (radius + c) for a, b, c in taken):
            taken.append((x, y, radius))
            placed.append(stand(mesh, x, y, size, 0.0, about_z(rng.uniform(0, 2 * np.pi))))
    return placed


def table(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Set many objects close together on a disc."""
    return [DISC, *scatter(draw, 8, (0.26, 0.46), [], 0.97, rng)]


def towers(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Build three towers of shrinking objects on a square plate, small ones between."""
    placed, taken = [PLATE], []
    start = rng.uniform(0, 2 * np.pi)
    for k in range(3):
        angle, size, floor = start + k * 2.1 + rng.uniform(-0.2, 0.2), rng.uniform(0.36, 0.44), 0.0
        x, y = 0.5 * np.cos(angle), 0.5 * np.sin(angle)
        taken.append((x, y, size))
        for _ in range(3):
            placed.append(stand(draw(), x, y, size, floor, about_z(rng.uniform(0, 2 * np.pi))))
            floor, size = float(placed[-1].vertices[:, 2].max()) - 0.01, size * rng.uniform(0.66, 0.8)
    return placed + scatter(draw, 3, (0.13, 0.2), taken, 0.85, rng)


def floating(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Let a loose swarm float without ground, turned every way."""
    placed, taken = [], []
    for _ in range(400):
        size, centre = rng.uniform(0.3, 0.46), rng.normal(size=3)
        centre *= (1.0 - size) * rng.uniform() ** 0.4 / np.linalg.norm(centre)
        if all(np.linalg.norm(centre - c) > 0.74 * (size + s) for c, s in taken) and len(placed) < 9:
            taken.append((centre, size))
            placed.append(draw().moved(size, any_rotation(rng), centre + np.array([0, 0, 0.35])))
    return placed


def court(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Set one tall object in the middle, six around it at the rim."""
    middle = draw()
    placed = [DISC, stand(middle, 0.0, 0.0, min(0.6, 0.36 / footprint(middle)), 0.0, np.eye(3))]
    start = rng.uniform(0, 2 * np.pi)
    for k in range(6):
        angle, distance = start + k * np.pi / 3 + rng.uniform(-0.12, 0.12), rng.uniform(0.64, 0.74)
        x, y, turn = distance * np.cos(angle), distance * np.sin(angle), about_z(rng.uniform(0, 2 * np.pi))
        placed.append(stand(draw(), x, y, rng.uniform(0.22, 0.32), 0.0, turn))
    return placed


def basin(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Heap small objects in a wide bowl."""
    bowl = make_shape("bowl", rng=rng)
    placed = [stand(bowl, 0.0, 0.0, 1.0, 0.0, np.eye(3))]
    for x, y, size in [(0.0, 0.0, 0.42), (0.5, 0.12, 0.3), (-0.12, 0.52, 0.3), (-0.5, -0.14, 0.32), (0.12, -0.52, 0.3)]:
        floor = 0.12 if x == 0 else 0.3
        placed.append(stand(draw(), x, y, size * rng.uniform(0.9, 1.1), floor, any_rotation(rng)))
    return placed


def corner(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Set objects before and behind two walls that meet at a right angle on a plate."""
    wall = mesh_of(prism(np.array([[0.75, 0.03], [-0.75, 0.03], [-0.75, -0.03], [0.75, -0.03]]), 0.62))
    walls = [
        wall.moved(rotation=about_z(angle), offset=np.array([*offset, 0.31]))
        for angle, offset in [(0.0, (0.0, -0.2)), (np.pi / 2, (-0.1, 0.0))]
    ]
    taken = [(0.16 * k, -0.2, 0.05) for k in range(-5, 6)] + [(-0.1, 0.16 * k, 0.05) for k in range(-5, 6)]
    return [PLATE, *walls, *scatter(draw, 7, (0.2, 0.34), taken, 1.0, rng)]


def temple(draw: Draw, rng: np.random.Generator) -> list[Mesh]:
    """Let six columns carry a roof over two objects; more stand outside."""
    shaft = make_shape("cylinder", rng=rng)
    placed, taken = [DISC], [(0, 0, 0.62)]
    columns = np.diag([0.32, 0.32, 1.0])
    for k in range(6):
        angle = k * np.pi / 3
        column = Mesh(shaft.vertices @ columns * 0.46, shaft.normals, shaft.uv, shaft.triangles)
        placed.append(stand(column, 0.52 * np.cos(angle), 0.52 * np.sin(angle), 1.0, 0.0, np.eye(3)))
    roof = mesh_of(
        [revolve([[0.66, 0.0], [0.66, 0.07]]), revolve([[0, 0], [0.66, 0]]), revolve([[0.66, 0.07], [0, 0.34]])]
    )
    placed.append(roof.moved(offset=np.array([0, 0, 0.68])))
    for x, y in [(0.17, 0.08), (-0.2, -0.1)]:
        placed.append(stand(draw(), x, y, rng.uniform(0.24, 0.3), 0.0, about_z(rng.uniform(0, 2 * np.pi))))
    return placed + scatter(draw, 5, (0.16, 0.2), taken, 1.0, rng)
