"""Depth ranges of views: from points, or where there are none wide ones from the cameras, narrowed by a plane sweep."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.files.checked_files import check_depth_range
from maskrf_core.datasets.scene import Scene
from maskrf_core.support.errors import DatasetError

PERCENTILES = (2, 98)
NEAR_MARGIN, FAR_MARGIN = 0.8, 1.2
LEAST_SEEN = 10  # points that a view must see for its depth range to come from these alone
WIDE = 5.0  # the wide range is from the guessed distance over this to the guessed distance times this
PARALLEL_DISTANCE = 4.0  # guess, in diameters of the cameras' places, where they look in parallel or outwards
LEAST_PARALLAX = 0.01  # least eigenvalue of mean(I - a aᵀ), a the axes, with which they meet: some 6 degrees apart
SWEPT_VIEWS, SWEPT_SIDE = 16, 128  # views that are swept, and the pixels of their longer side
POINTS_PER_VIEW = 2000
LEAST_SWEPT = 30  # points from the sweep in a view from which a range is taken


def range_from_depths(depths: Float[np.ndarray, "point"]) -> tuple[float, float]:
    """Return (near, far) from z-depths > 0: their 2nd and 98th percentile, with a fifth of margin on both sides."""
    near, far = np.percentile(depths, PERCENTILES)
    return float(near) * NEAR_MARGIN, float(far) * FAR_MARGIN


def depths_in(w2c: Float[np.ndarray, "3 4"], points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point"]:
    """Return the z-depth of points in a camera, negative behind it."""
    return points @ w2c[2, :3] + w2c[2, 3]


def ranges_from_points(
    name: str,
    image_ids: Sequence[str],
    w2c: Float[np.ndarray, "view 3 4"],
    seen: Sequence[Float[np.ndarray, "_point 3"]],
) -> list[tuple[float, float]]:
    """Return (near, far) of each view from at least 10 points: those it sees or, if these are few, of all."""
    everything, ranges = np.concatenate(seen), []
    for image_id, pose, points in zip(image_ids, w2c, seen, strict=True):
        in_front = (depths[depths > 0] for depths in (depths_in(pose, some) for some in (points, everything)))
        depths = next((depths for depths in in_front if len(depths) >= LEAST_SEEN), None)
        if depths is None:
            what = f"the model has fewer than {LEAST_SEEN} points in front of {image_id}, so its depth range is unknown"
            raise DatasetError(f"{name}: {what}. Give a model with its points, or remove this image from it.")
        ranges.append(range_from_depths(depths))
        check_depth_range(*ranges[-1], f"{name}, points before {image_id}")
    return ranges


def wide_ranges(w2c: Float[np.ndarray, "view 3 4"]) -> list[tuple[float, float]]:
    """Return a (near, far) per camera that surely holds the scene.

    It is about the point nearest to all optical axes, where they meet in front of the cameras; otherwise it comes from
    the distance between the cameras.
    """
    centres = -np.einsum("vji,vj->vi", w2c[:, :, :3], w2c[:, :, 3])
    axes = w2c[:, 2, :3]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    extent = np.linalg.norm(centres.max(0) - centres.min(0)) or 1.0
    if np.linalg.eigvalsh(across.mean(0))[0] > LEAST_PARALLAX:
        focus = np.linalg.solve(across.sum(0), np.einsum("vij,vj->i", across, centres))
        distances = w2c[:, 2, :3] @ focus + w2c[:, 2, 3]
        if np.median(distances) > 0 and np.mean(distances > 0) > 0.9:
            floor = np.median(distances) / 4
            return [(distance / WIDE, distance * WIDE) for distance in np.maximum(distances, floor).tolist()]
    guess = PARALLEL_DISTANCE * extent
    return [(guess / WIDE**2, guess * WIDE)] * len(w2c)


def ranges_from_sweep(scene: Scene, size: tuple[int, int], device: str = "cpu") -> list[tuple[float, float]]:
    """Return (near, far) of each view from depths that a coarse plane sweep over the scene's wide ranges confirms.

    `size` is (height, width). A view in which too few confirmed points lie keeps its wide range.
    """
    from maskrf_core.datasets.depth.depth_estimation import DepthSettings, estimate_depth_maps  # torch is heavy

    places = np.linspace(0, len(scene.image_ids) - 1, min(len(scene.image_ids), SWEPT_VIEWS))
    swept = [scene.image_ids[place] for place in np.unique(places.round().astype(int))]
    maps = estimate_depth_maps(scene, swept, device=device, settings=DepthSettings(longest_side=SWEPT_SIDE))
    found = []
    for image_id, depth in maps:
        y, x = np.nonzero(depth)
        step = max(1, len(x) // POINTS_PER_VIEW)
        y, x = y[::step], x[::step]
        rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(scene.K(image_id)).T
        w2c, z = scene.w2c(image_id), depth[y, x].astype(np.float64)
        found.append((rays * z[:, None] - w2c[:, 3]) @ w2c[:, :3])
    points, ranges = np.concatenate(found), []
    for image_id in scene.image_ids:
        w2c = scene.w2c(image_id)
        depths = depths_in(w2c, points)
        in_front = depths > 0
        pixels = (points[in_front] @ w2c[:, :3].T + w2c[:, 3]) @ scene.K(image_id).T
        inside = ((pixels[:, :2] >= 0) & (pixels[:, :2] < pixels[:, 2:] * size[::-1])).all(axis=1)
        shown = depths[in_front][inside]
        ranges.append(range_from_depths(shown) if len(shown) >= LEAST_SWEPT else scene.depth_range(image_id))
    return ranges
