"""Triangle meshes of the demo scenes' objects, every one of about unit radius around the origin, z up.

A shape is a list of patches: grids of points that are smooth inside and meet other patches at a sharp edge.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Patch = Float[np.ndarray, "_row _column 3"]  # the underscores let the patches of one shape differ in size
SEGMENTS = 96  # steps around an axis: at 96×96 pixels the facets are far below a pixel
UNTURNED = np.eye(3)


class Mesh(NamedTuple):
    """Vertices with normals and texture coordinates in [0, 1], and triangles."""

    vertices: Float[np.ndarray, "vertex 3"]
    normals: Float[np.ndarray, "vertex 3"]
    uv: Float[np.ndarray, "vertex 2"]
    triangles: Int[np.ndarray, "triangle 3"]

    def moved(self, scale: float = 1.0, rotation: np.ndarray = UNTURNED, offset: np.ndarray | float = 0.0) -> "Mesh":
        """Scale, then rotate, then shift."""
        vertices = scale * self.vertices @ rotation.T + offset
        return Mesh(vertices, self.normals @ rotation.T, self.uv, self.triangles)


def mesh_of(patches: list[Patch]) -> Mesh:
    """Join patches into one mesh. Normals are smooth within a patch, across its own seam too."""
    vertices, normals, uv, triangles, count = [], [], [], [], 0
    for patch in patches:
        rows, columns = patch.shape[:2]
        points = patch.reshape(-1, 3)
        index = np.arange(rows * columns).reshape(rows, columns)
        a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
        faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
        v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
        vertices.append(points)
        _, welded = np.unique(np.round(points, 6), axis=0, return_inverse=True)
        welded = welded.reshape(-1)
        corners = points[faces]
        face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        sums = np.zeros((welded.max() + 1, 3))
        for corner in range(3):
            np.add.at(sums, welded[faces[:, corner]], face_normals)
        normals.append((sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12))[welded])
        uv.append(np.stack([u, v], -1).reshape(-1, 2))
        triangles.append(faces + count)
        count += len(points)
    return Mesh(*(np.concatenate(parts) for parts in (vertices, normals, uv, triangles)))


def revolve(profile: list | np.ndarray, ripple: float = 0.0, waves: int = 0, twist: float = 0.0) -> Patch:
    """Turn (radius, height) points about z; the radius may ripple around the axis and the ripple twist with height."""
    radius, height = np.asarray(profile, dtype=np.float64).T[..., None]
    angle = np.linspace(0, 2 * np.pi, (2 if waves else 1) * SEGMENTS + 1)[None]
    radius = radius * (1 + ripple * np.cos(waves * angle + twist * height))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.broadcast_to(height, radius.shape)], -1)


def tube(curve: Float[np.ndarray, "row 3"], radius: float | Float[np.ndarray, "row"], sides: int = 48) -> Patch:
    """Lay a round tube along a curve that circles the z axis (its frame is taken from the direction to the origin)."""
    tangent = np.gradient(curve, axis=0)
    if np.allclose(curve[0], curve[-1]):
        tangent[0] = tangent[-1] = curve[1] - curve[-2]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    outward = curve - (curve * tangent).sum(1, keepdims=True) * tangent
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    sideways = np.cross(tangent, outward)
    angle = np.linspace(0, 2 * np.pi, sides + 1)[None, :, None]
    thickness = np.broadcast_to(radius, len(curve))[:, None, None]
    return curve[:, None] + thickness * (np.cos(angle) * outward[:, None] + np.sin(angle) * sideways[:, None])


def prism(polygon: Float[np.ndarray, "corner 2"], height: float) -> list[Patch]:
    """Raise a straight prism over a polygon that is star-shaped about the origin; every side is a patch of its own."""
    closed = np.concatenate([polygon, polygon[:1]])
    low, high = (np.column_stack([closed, np.full(len(closed), z)]) for z in (-height / 2, height / 2))
    sides = [np.stack([low[i : i + 2], high[i : i + 2]]) for i in range(len(polygon))]
    caps = [np.stack([np.broadcast_to(rim.mean(0) * [0, 0, 1], rim.shape), rim]) for rim in (low, high)]
    return sides + caps


def _polygon(corners: int, inner: float = 1.0) -> Float[np.ndarray, "corner 2"]:
    angle = np.arange(corners) * 2 * np.pi / corners
    radius = np.where(np.arange(corners) % 2, inner, 1.0)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)


def _capped(side: Patch) -> list[Patch]:
    return [side, *(np.stack([rim * [0, 0, 1], rim]) for rim in (side[0], side[-1]))]


def _hollow(outer: np.ndarray, wall: float, floor: float) -> list[Patch]:
    """Make a vessel from its outer profile (bottom to lip): bottom, outside, lip, inside."""
    inner = outer[outer[:, 1] > floor] - [wall, 0]
    inner = np.concatenate([inner[::-1], [[inner[0, 0], floor], [0, floor]]])
    bottom = revolve([[0, outer[0, 1]], outer[0]])
    return [bottom, revolve(outer), revolve([outer[-1], inner[0]]), revolve(inner)]


def _smooth_profile(radii: list[float], rows: int = 48) -> np.ndarray:
    """Fit a smooth (radius, height) profile from z = -1 to 1 through evenly spaced radii."""
    coefficients = np.polyfit(np.linspace(-1, 1, len(radii)), radii, len(radii) - 1)
    height = np.linspace(-1, 1, rows)
    return np.stack([np.polyval(coefficients, height), height], -1)


def _superquadric(sharpness: float) -> list[Patch]:
    v, u = np.linspace(-np.pi / 2, np.pi / 2, SEGMENTS)[:, None], np.linspace(0, 2 * np.pi, 2 * SEGMENTS + 1)[None]
    across, x, y, z = (
        np.sign(side) * np.abs(side) ** sharpness for side in (np.cos(v), np.cos(u), np.sin(u), np.sin(v))
    )
    return [np.stack(np.broadcast_arrays(across * x, across * y, z), -1)]


def _sphere(scale: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> list[Patch]:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 64)
    return [revolve(np.stack([np.cos(angle), np.sin(angle)], -1)) * np.asarray(scale)]


def _blob(rng: np.random.Generator) -> list[Patch]:
    """Push a sphere in and out by a few smooth waves."""
    (unit,) = _sphere()
    bump = np.zeros(unit.shape[:2])
    for _ in range(5):
        bump += np.sin(unit @ rng.normal(size=3) * 2.6 + rng.uniform(0, 2 * np.pi))
    return [unit * (0.78 + 0.1 * bump[..., None])]


def _coil(turns: float, pitch: float, radius: float) -> list[Patch]:
    t = np.linspace(0, 1, 256)
    curve = np.stack([np.cos(2 * np.pi * turns * t), np.sin(2 * np.pi * turns * t), pitch * (t - 0.5)], -1)
    return [tube(curve, radius * np.sqrt(np.clip(np.minimum(t, 1 - t) * 30, 1e-6, 1)))]


def _knot(p: int, q: int, radius: float) -> list[Patch]:
    t = np.linspace(0, 2 * np.pi, 385)
    ring = 0.68 + 0.27 * np.cos(q * t)
    return [tube(np.stack([ring * np.cos(p * t), ring * np.sin(p * t), 0.27 * np.sin(q * t)], -1), radius)]


def _torus(radius: float) -> list[Patch]:
    t = np.linspace(0, 2 * np.pi, SEGMENTS + 1)
    return [tube((1 - radius) * np.stack([np.cos(t), np.sin(t), 0 * t], -1), radius)]


GOBLET = np.array(
    [[0.5, -1], [0.5, -0.92], [0.12, -0.84], [0.1, -0.3], [0.35, -0.1], [0.58, 0.2], [0.64, 0.6], [0.6, 1]]
)

SHAPES: dict[str, Callable[[np.random.Generator], list[Patch]]] = {  # some draw their proportions
    "sphere": lambda rng: _sphere(),
    "egg": lambda rng: _sphere((0.75, 0.75, 1.0)),
    "pebble": lambda rng: _sphere((1.0, 0.8, 0.45)),
    "cube": lambda rng: prism(_polygon(4), np.sqrt(2)),
    "slab": lambda rng: prism(_polygon(4), 0.5),
    "wedge": lambda rng: prism(_polygon(3), 1.3),
    "hexagon": lambda rng: prism(_polygon(6), 1.1),
    "star": lambda rng: prism(_polygon(10, 0.5), 0.7),
    "cross": lambda rng: prism(_polygon(8, 0.45), 0.8),
    "gear": lambda rng: _capped(revolve([[0.85, -0.35], [0.85, 0.35]], ripple=0.14, waves=9)),
    "cylinder": lambda rng: _capped(revolve([[0.7, -0.8], [0.7, 0.8]])),
    "cone": lambda rng: _capped(revolve([[0.8, -0.9], [0.01, 0.9]])),
    "screw": lambda rng: _capped(revolve(_smooth_profile([0.5, 0.5]), ripple=0.18, waves=4, twist=2.2)),
    "hourglass": lambda rng: _capped(revolve(_smooth_profile([0.7, 0.42, 0.25, 0.42, 0.7]))),
    "spindle": lambda rng: _capped(revolve(_smooth_profile([0.3, 0.62, 0.3, 0.5, 0.2]))),
    "vase": lambda rng: _hollow(_smooth_profile([0.4, rng.uniform(0.6, 0.72), 0.5, 0.3, 0.5]), 0.07, -0.85),
    "pot": lambda rng: _hollow(_smooth_profile([0.5, 0.72, rng.uniform(0.7, 0.8)]) * [1, 0.7], 0.09, -0.55),
    "bowl": lambda rng: _hollow(_smooth_profile([0.35, 0.85, 1.0]) * [1, 0.45], 0.08, -0.36),
    "goblet": lambda rng: _hollow(GOBLET, 0.07, 0.05),
    "torus": lambda rng: _torus(rng.uniform(0.24, 0.34)),
    "ring": lambda rng: _torus(0.16),
    "coil": lambda rng: _coil(3.5, 1.7, 0.17),
    "trefoil": lambda rng: _knot(2, 3, 0.17),
    "cinquefoil": lambda rng: _knot(2, 5, 0.13),
    "soap": lambda rng: _superquadric(0.35),
    "cushion": lambda rng: [patch * [0.9, 0.9, 0.5] for patch in _superquadric(0.6)],
    "burr": lambda rng: _superquadric(1.8),
    "blob": _blob,
}


def make_shape(kind: str, *, rng: np.random.Generator) -> Mesh:
    """Make the mesh of one shape, scaled to a bounding radius of exactly 1."""
    return unit_mesh(SHAPES[kind](rng))


def unit_mesh(patches: list[Patch]) -> Mesh:
    """Join patches into one mesh, scaled to a bounding radius of exactly 1."""
    mesh = mesh_of(patches)
    return mesh.moved(scale=1 / float(np.linalg.norm(mesh.vertices, axis=1).max()))
