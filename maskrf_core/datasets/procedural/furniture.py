"""What rooms are made of: walls, furniture, lamps and windows, in metres, z up."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.procedural.arrangements import about_z
from maskrf_core.datasets.procedural.shapes import Mesh, make_shape, mesh_of, prism


class Stand(NamedTuple):
    """A level place that objects can stand on: its middle, and the radius that is free there."""

    x: float
    y: float
    z: float
    radius: float


class Piece(NamedTuple):
    """One piece of furniture around the origin: its parts, all of one colouring, and where things can stand on it."""

    parts: list[Mesh]
    stands: list[Stand]

    def placed(self, x: float, y: float, angle: float) -> "Piece":
        """Turn the piece about z, then set it down at (x, y)."""
        rotation, offset = about_z(angle), np.array([x, y, 0.0])
        stands = [Stand(*(rotation @ stand[:3] + offset), stand.radius) for stand in self.stands]
        return Piece([part.moved(rotation=rotation, offset=offset) for part in self.parts], stands)


def box(width: float, depth: float, height: float, middle: tuple) -> Mesh:
    """Make a box of these sides in x, y and z around its middle."""
    x, y = width / 2, depth / 2
    return mesh_of(prism(np.array([[x, y], [-x, y], [-x, -y], [x, -y]]), height)).moved(offset=np.array(middle))


def panel(corner: list, side: list, other: list) -> Mesh:
    """Make a flat rectangle from one corner and its two sides; it faces along side × other."""
    corner, side, other = (np.array(vector, np.float64) for vector in (corner, side, other))
    return mesh_of([np.stack([[corner, corner + side], [corner + other, corner + other + side]])])


def walls(width: float, depth: float, height: float) -> list[Mesh]:
    """Make floor, four walls and ceiling of a room, x in ± width / 2, y from 0 to depth, all facing inwards."""
    x = width / 2
    return [
        panel([-x, 0, 0], [width, 0, 0], [0, depth, 0]),
        panel([-x, depth, 0], [width, 0, 0], [0, 0, height]),
        panel([x, 0, 0], [-width, 0, 0], [0, 0, height]),
        panel([-x, 0, 0], [0, depth, 0], [0, 0, height]),
        panel([x, depth, 0], [0, -depth, 0], [0, 0, height]),
        panel([-x, depth, height], [width, 0, 0], [0, -depth, 0]),
    ]


def table_piece(radius: float, rng: np.random.Generator) -> Piece:
    """Make a square table with four legs, thin or thick."""
    side, height, leg = radius * np.sqrt(2), rng.uniform(0.4, 0.8), rng.uniform(0.02, 0.06)
    top = box(side, side, 0.05, (0, 0, height - 0.025))
    at = side / 2 - leg
    legs = [box(leg, leg, height - 0.05, (x, y, height / 2 - 0.025)) for x in (-at, at) for y in (-at, at)]
    stands = [Stand(x, y, height, side / 4) for x in (-side / 4, side / 4) for y in (-side / 4, side / 4)]
    return Piece([top, *legs], stands)


def shelf_piece(radius: float, rng: np.random.Generator) -> Piece:
    """Make open shelves of two to four boards."""
    width, depth, boards = 1.7 * radius, 0.7 * radius, int(rng.integers(2, 5))
    step = rng.uniform(0.32, 0.45)
    parts = [box(0.03, depth, boards * step, (x, 0, boards * step / 2)) for x in (-width / 2, width / 2)]
    parts += [box(width, depth, 0.03, (0, 0, (k + 1) * step - 0.015)) for k in range(boards)]
    stands = [
        Stand(x, 0, (k + 1) * step, min(width / 6, depth / 2, step * 0.45))
        for k in range(boards)
        for x in (-width / 3, 0, width / 3)
    ]
    return Piece(parts, stands)


def cabinet_piece(radius: float, rng: np.random.Generator) -> Piece:
    """Make a closed box, low or high."""
    width, depth, height = 1.5 * radius, radius, rng.uniform(0.3, 1.3)
    stands = [Stand(x, 0, height, depth / 3) for x in (-width / 4, width / 4)]
    return Piece([box(width, depth, height, (0, 0, height / 2))], stands)


def stack_piece(radius: float, rng: np.random.Generator) -> Piece:
    """Pile up two to four boxes, each turned a little."""
    parts, floor, side = [], 0.0, radius * rng.uniform(0.9, 1.3)
    for _ in range(int(rng.integers(2, 5))):
        height = side * rng.uniform(0.3, 0.8)
        crate = box(side, side * rng.uniform(0.6, 1.0), height, (0, 0, floor + height / 2))
        parts.append(crate.moved(rotation=about_z(rng.uniform(-0.4, 0.4))))
        floor, side = floor + height, side * rng.uniform(0.6, 0.95)
    return Piece(parts, [Stand(0, 0, floor, side / 3)])


def fence_piece(radius: float, rng: np.random.Generator) -> Piece:
    """Set thin bars in a row between two rails."""
    width, height, bar = 1.8 * radius, rng.uniform(0.5, 1.2), rng.uniform(0.015, 0.04)
    places = np.linspace(-width / 2, width / 2, int(rng.integers(5, 11)))
    rails = [box(width, bar, bar, (0, 0, z)) for z in (0.15 * height, height)]
    return Piece([*rails, *(box(bar, bar, height, (x, 0, height / 2)) for x in places)], [])


def column_piece(radius: float, rng: np.random.Generator) -> Piece:
    """Raise a round or twisted column on a plinth."""
    size = 0.5 * radius
    kind = str(rng.choice(["cylinder", "screw", "hourglass", "spindle"]))
    shaft = make_shape(kind, rng=rng)
    height = rng.uniform(0.5, 1.4)
    tall = Mesh(shaft.vertices * [size, size, height / 2], shaft.normals, shaft.uv, shaft.triangles)
    tall = tall.moved(offset=np.array([0, 0, 0.1 - tall.vertices[:, 2].min()]))
    return Piece([box(2 * size, 2 * size, 0.1, (0, 0, 0.05)), tall], [])


PIECES = (table_piece, shelf_piece, cabinet_piece, stack_piece, fence_piece, column_piece)


def spots(
    count: int,
    radii: tuple[float, float],
    region: Float[np.ndarray, "2 2"],
    taken: list[tuple[float, float, float]],
    *,
    rng: np.random.Generator,
) -> list[tuple[float, float, float]]:
    """Find up to `count` free circles (x, y, radius) in a rectangle (lowest, highest corner), clear of those taken.

    They are added to `taken`.
    """
    found: list[tuple[float, float, float]] = []
    for _ in range(300):
        radius = rng.uniform(*radii)
        low, high = region[0] + radius, region[1] - radius
        if len(found) == count or (low > high).any():
            break
        x, y = rng.uniform(low, high)
        if all(np.hypot(x - a, y - b) > radius + c for a, b, c in taken):
            found.append((float(x), float(y), radius))
            taken.append(found[-1])
    return found
