"""`poses_bounds.npy` of Local Light Field Fusion (Mildenhall et al., 2019): poses and depth bounds of a capture.

A row holds a 3×5 matrix and two bounds. The matrix is [rotation | centre | (height, width, focal length)]; the columns
of the rotation are the camera's down, right and back axes in the world.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.files.checked_files import check_depth_range, check_w2c, read_array
from maskrf_core.support.errors import DatasetError

BOUND_AFTER_SCALING = 1 / 0.75
"""Poses are scaled so that the smallest bound becomes this."""


@dataclass(frozen=True)
class LlffPoses:
    """Cameras of one capture, recentred and scaled; `focal` is in pixels of the full `height` × `width` photographs."""

    w2c: Float[np.ndarray, "view 3 4"]
    depth_range: Float[np.ndarray, "view 2"]
    height: float
    width: float
    focal: float


def read_llff_poses(path: Path) -> LlffPoses:
    """Read, check, scale by 1/(0.75 · smallest bound), recentre by the average pose, and turn to OpenCV axes.

    Raises:
        DatasetError: the file is missing or not n×17 finite numbers; a pose is no rotation, a bound not 0 < near < far,
            or the photographs' size and focal length are not positive and the same in every row.
    """
    rows = read_array(path, (None, 17))
    matrices, bounds = rows[:, :15].reshape(-1, 3, 5), rows[:, 15:]
    height, width, focal = matrices[0, :, 4]
    if not (matrices[0, :, 4] > 0).all() or np.abs(matrices[:, :, 4] / matrices[0, :, 4] - 1).max() > 1e-6:
        raise DatasetError(
            f"{path}: height, width and focal length must be positive and the same in all rows. Unpack it again."
        )
    down, right, back, centre = (matrices[:, :, column] for column in range(4))
    c2w = np.stack([right, -down, back, centre], axis=-1)  # OpenGL axes: right, up, back
    for view, (pose, (near, far)) in enumerate(zip(c2w, bounds, strict=True)):
        check_w2c(pose, f"{path}, row {view}")
        check_depth_range(near, far, f"{path}, row {view}")
    scale = BOUND_AFTER_SCALING / bounds.min()
    c2w[:, :, 3] *= scale
    recentred = np.linalg.inv(_homogeneous(average_pose(c2w, str(path)))) @ _homogeneous(c2w)
    opencv = recentred @ np.diag([1.0, -1.0, -1.0, 1.0])
    return LlffPoses(np.linalg.inv(opencv)[:, :3], bounds * scale, float(height), float(width), float(focal))


def average_pose(c2w: Float[np.ndarray, "view 3 4"], where: str) -> Float[np.ndarray, "3 4"]:
    """Mean centre, with axes [right, up, back] from the summed back and up directions; right = up × back.

    Raises:
        DatasetError: the views look in opposite directions, so that they have no average.
    """
    back, up = c2w[:, :, 2].sum(0), c2w[:, :, 1].sum(0)
    right = np.cross(up, back)
    if min(np.linalg.norm(back), np.linalg.norm(right)) < 1e-6 * len(c2w):
        raise DatasetError(
            f"{where}: the views have no common direction; this layout is for forward-facing ones. Unpack it again, "
            "or make the photographs a capture."
        )
    back, right = back / np.linalg.norm(back), right / np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back, c2w[:, :, 3].mean(0)], axis=-1)


def _homogeneous(pose: Float[np.ndarray, "*view 3 4"]) -> Float[np.ndarray, "*view 4 4"]:
    last_row = np.broadcast_to(np.array([0.0, 0, 0, 1]), (*pose.shape[:-2], 1, 4))
    return np.concatenate([pose, last_row], axis=-2)
