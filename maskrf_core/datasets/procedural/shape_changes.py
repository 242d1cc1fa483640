"""Shapes bent, cut or made of wire, so that no two objects of a large set are alike."""

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.procedural.shapes import SHAPES, Mesh, Patch, tube, unit_mesh

CHANGES = ("none", "bent", "rough", "cut", "wire")
SHARES = (0.4, 0.2, 0.12, 0.18, 0.1)


def make_changed_shape(kind: str, *, rng: np.random.Generator) -> Mesh:
    """Make the mesh of one shape, of bounding radius 1, stretched at random and perhaps bent, cut or made of wire."""
    patches, change = SHAPES[kind](rng), rng.choice(CHANGES, p=SHARES)
    if change == "wire":
        patches = wire(patches, radius=rng.uniform(0.025, 0.06))
    elif change != "none":
        patches = [refined(patch) for patch in patches]
        if change == "cut":
            patches = cut(patches, rng=rng)
        else:
            patches = pushed(patches, *((0.16, 1.6) if change == "bent" else (0.035, 7.0)), rng=rng)
    stretch = np.exp(rng.uniform(-0.35, 0.35, 3))
    return unit_mesh([patch * stretch for patch in patches])


def refined(patch: Patch, least: int = 32) -> Patch:
    """Interpolate a patch to at least so many rows and columns, so that it can be bent."""
    for axis in (0, 1):
        count = patch.shape[axis]
        if count < least:
            pieces = -(-least // (count - 1))  # whole pieces a cell keep the old corners
            at = np.linspace(0, count - 1, (count - 1) * pieces + 1)
            low = np.minimum(at.astype(int), count - 2)
            share = (at - low).reshape(-1, 1, 1) if axis == 0 else (at - low).reshape(1, -1, 1)
            patch = patch.take(low, axis) * (1 - share) + patch.take(low + 1, axis) * share
    return patch


def pushed(patches: list[Patch], depth: float, frequency: float, *, rng: np.random.Generator) -> list[Patch]:
    """Push all points in and out by a height field of six waves; points that patches share move together."""
    directions, phases = rng.normal(size=(6, 3)) * frequency, rng.uniform(0, 2 * np.pi, 6)

    def height(points: Patch) -> Float[np.ndarray, "row column 1"]:
        return np.sin(points @ directions.T + phases).sum(-1, keepdims=True)

    return [patch * (1 + depth * height(patch)) for patch in patches]


def cut(patches: list[Patch], *, rng: np.random.Generator) -> list[Patch]:
    """Cut off what lies beyond one or two planes; the cuts are closed, as what was there is pressed onto them."""
    for _ in range(int(rng.integers(1, 3))):
        normal = rng.normal(size=3)
        normal /= np.linalg.norm(normal)
        furthest = max(float((patch @ normal).max()) for patch in patches)
        level = rng.uniform(0.15, 0.6) * furthest
        patches = [patch - np.maximum(patch @ normal - level, 0)[..., None] * normal for patch in patches]
    return patches


def wire(patches: list[Patch], radius: float) -> list[Patch]:
    """Lay wires along some rows and columns of the patches, and leave out what is between."""
    wires = []
    for patch in patches:
        for lines, columns in ((patch, False), (patch.swapaxes(0, 1), True)):
            count = min(len(lines), 9 if columns else 6)
            for curve in lines[np.unique(np.linspace(0, len(lines) - 1, count).astype(int))]:
                if (evenly := _resampled(curve)) is not None:
                    wires.append(tube(evenly, radius, sides=10))
    return wires


def _resampled(curve: Float[np.ndarray, "point 3"], count: int = 40) -> Float[np.ndarray, "count 3"] | None:
    """Return points at even steps along a curve; None of one so short, or so near the origin, that no tube fits."""
    steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(steps)])
    if along[-1] < 0.3:
        return None
    at = np.linspace(0, along[-1], count)
    points = np.stack([np.interp(at, along, curve[:, axis]) for axis in range(3)], -1)
    tangent = np.gradient(points, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    aside = np.linalg.norm(points - (points * tangent).sum(1, keepdims=True) * tangent, axis=1)
    return points if aside.min() > 1e-3 else None
