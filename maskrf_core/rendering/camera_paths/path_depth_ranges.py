"""The depth range of a camera where no photograph was taken: what the cameras near it see, from where it stands."""

import numpy as np
from jaxtyping import Float

from maskrf_core.rendering.camera_paths.rig import CameraRig

NEIGHBOURS = 4
SMALLEST_SHARE = 0.5
"""Of a neighbour's near: a camera that moves towards the scene keeps at least so much of it."""


def depth_range_at(rig: CameraRig, w2c: Float[np.ndarray, "3 4"]) -> tuple[float, float]:
    """(near, far): the ranges of the nearest cameras, seen from here; the nearer a camera the more its range weighs.

    Each range keeps its length and is shifted by how much further or nearer the point on its camera's axis at the
    harmonic mean of near and far is from here: an orbit around an object shifts nothing, a step forward shifts by that
    step. The more a camera looks elsewhere the less is shifted. At a camera's own pose the range is its own, and from
    pose to pose nothing jumps: a camera's weight falls to 0 before another takes its place.
    """
    centre, forward = -w2c[:, :3].T @ w2c[:, 3], w2c[2, :3]
    weights = neighbour_weights(np.linalg.norm(rig.centres - centre, axis=1))
    near, far = rig.depth_range.T
    middle = 2 / (1 / near + 1 / far)
    alignment = (rig.forwards @ forward).clip(0, 1)
    shift = alignment * ((rig.centres - centre) @ forward + middle * (alignment - 1))
    near = weights @ np.maximum(near + shift, SMALLEST_SHARE * near)
    return float(near), float(near + weights @ (rig.depth_range[:, 1] - rig.depth_range[:, 0]))


def neighbour_weights(distances: Float[np.ndarray, "view"]) -> Float[np.ndarray, "view"]:
    """Weights that sum to 1, of the `NEIGHBOURS` nearest views only; all of it on views at distance 0.

    Shepard's interpolation with Franke and Little's weights: ((R - d)⁺ / (R d))², R the distance of the next nearest.
    """
    here = distances <= 1e-9 * max(distances.max(), 1e-300)
    if here.any():
        return here / here.sum()
    reach = np.sort(distances)[NEIGHBOURS] if len(distances) > NEIGHBOURS else np.inf
    closeness = 1 / distances - 1 / reach
    weights = np.where(distances < reach, closeness, 0.0) ** 2
    if weights.sum() <= 0:  # the nearest ones are as far away as the next
        weights = (distances <= reach).astype(float)
    return weights / weights.sum()
