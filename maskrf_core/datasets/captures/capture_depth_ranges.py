"""Depth ranges where there are no sparse points: wide ones from the cameras, then narrower ones from a plane sweep."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from maskrf_core.datasets.captures.prepared_capture import PreparedCapture, PreparedView
from maskrf_core.datasets.depth.depth_estimation import DepthSettings, estimate_depth_maps
from maskrf_core.datasets.depth.depth_ranges import depths_in, range_from_depths

WIDE = 5.0
"""The wide range is from the guessed distance over this to the guessed distance times this."""
PARALLEL_DISTANCE = 4.0
"""Guessed distance, in diameters of the cameras' places, where the cameras look in parallel or outwards."""
LEAST_PARALLAX = 0.01
"""Smallest eigenvalue of mean(I - a aᵀ), a the optical axes, from which on their nearest point is one: 0.01 is axes
that differ by some 6 degrees."""
SWEPT_VIEWS = 16
SWEPT_SIDE = 128
"""Pixels of the longer side at which they are swept."""
POINTS_PER_VIEW = 2000
LEAST_POINTS = 30
"""Points in a view from which a range is taken."""


def wide_ranges(w2c: Float[np.ndarray, "view 3 4"]) -> list[tuple[float, float]]:
    """(near, far) per camera that surely hold the scene: about the point nearest to all optical axes, where they meet
    in front of the cameras; otherwise from the distance between the cameras."""
    centres = -np.einsum("vji,vj->vi", w2c[:, :, :3], w2c[:, :, 3])
    axes = w2c[:, 2, :3]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    extent = np.linalg.norm(centres.max(0) - centres.min(0)) or 1.0
    if np.linalg.eigvalsh(across.mean(0))[0] > LEAST_PARALLAX:
        focus = np.linalg.solve(across.sum(0), np.einsum("vij,vj->i", across, centres))
        distances = depths_in_each(w2c, focus)
        if np.median(distances) > 0 and np.mean(distances > 0) > 0.9:
            floor = np.median(distances) / 4
            return [(distance / WIDE, distance * WIDE) for distance in np.maximum(distances, floor).tolist()]
    guess = PARALLEL_DISTANCE * extent
    return [(guess / WIDE**2, guess * WIDE)] * len(w2c)


def depths_in_each(w2c: Float[np.ndarray, "view 3 4"], point: Float[np.ndarray, "3"]) -> Float[np.ndarray, "view"]:
    """z-depth of one point in each camera."""
    return w2c[:, 2, :3] @ point + w2c[:, 2, 3]


def ranges_from_sweep(
    name: str, folder: Path, size: tuple[int, int], views: list[PreparedView], device: str | torch.device = "cpu"
) -> list[PreparedView]:
    """The views with ranges from depths that a coarse plane sweep over their wide ranges confirms.

    A view in which too few confirmed points lie keeps its wide range.
    """
    scene = PreparedCapture(name, folder, size, views)
    chosen = np.unique(np.linspace(0, len(views) - 1, min(len(views), SWEPT_VIEWS)).round().astype(int))
    swept = [views[index] for index in chosen]
    maps = estimate_depth_maps(
        scene, [view.image_id for view in swept], device=device, settings=DepthSettings(longest_side=SWEPT_SIDE)
    )
    points = np.concatenate([_unprojected(view, maps[view.image_id]) for view in swept])
    return [_with_range(view, points, size) for view in views]


def _unprojected(view: PreparedView, depth: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "point 3"]:
    """World points of at most `POINTS_PER_VIEW` evenly chosen pixels of known depth."""
    y, x = np.nonzero(depth)
    step = max(1, len(x) // POINTS_PER_VIEW)
    y, x = y[::step], x[::step]
    z = depth[y, x].astype(np.float64)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(view.K).T
    return (rays * z[:, None] - view.w2c[:, 3]) @ view.w2c[:, :3]


def _with_range(view: PreparedView, points: Float[np.ndarray, "point 3"], size: tuple[int, int]) -> PreparedView:
    depths = depths_in(view.w2c, points)
    in_front = depths > 0
    pixels = (points[in_front] @ view.w2c[:, :3].T + view.w2c[:, 3]) @ view.K.T
    inside = ((pixels[:, :2] >= 0) & (pixels[:, :2] < pixels[:, 2:] * size[::-1])).all(axis=1)
    seen = depths[in_front][inside]
    return replace(view, depth_range=range_from_depths(seen)) if len(seen) >= LEAST_POINTS else view
