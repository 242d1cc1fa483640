"""Where someone stands in a scene: from a window's cameras to ours and back.

A window has the world's axes, but its own unit, about the distance of what the photographs show: windows clip, orbit
and keep depths by numbers around 1. Its cameras have OpenCV axes, a vertical field of view, and no shifted centre.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from maskrf_core.rendering.camera_paths.rig import CameraRig, depth_range_at, up_axis
from maskrf_core.rendering.camera_paths.trajectories import PathCamera

UPRIGHT = 0.05  # cosine between a camera's own up and the scene's, below which it does not orbit around the latter
PYRAMID_SIZES = 0.01, 0.06  # in the window's unit


class Pose(NamedTuple):
    """A camera of the window."""

    position: Float[np.ndarray, "3"]
    look_at: Float[np.ndarray, "3"]  # around which a mouse orbits
    up: Float[np.ndarray, "3"]  # axis of those orbits
    wxyz: Float[np.ndarray, "4"]  # quaternion of camera to world
    fov: float  # vertical, in radians


@dataclass(frozen=True)
class Walk:
    """Reference cameras as poses by image id, and what all pictures on the way share."""

    rig: CameraRig
    poses: dict[str, Pose]
    unit: float  # of the window, in scene units
    up: Float[np.ndarray, "3"]
    depth_range: tuple[float, float]  # over all reference views, in scene units
    pyramid_size: float  # in the window's unit

    @classmethod
    def through(cls, rig: CameraRig, heights: Sequence[int]) -> "Walk":
        """Make the walk among these reference views, whose images have these heights in pixels."""
        near, far = rig.depth_range.T
        looked_at = 2 / (1 / near + 1 / far)
        unit, up = float(np.median(looked_at)), up_axis(rig)
        poses = {
            image_id: _pose(rig, index, looked_at[index], unit, up, height)
            for index, (image_id, height) in enumerate(zip(rig.image_ids, heights, strict=True))
        }
        between = np.linalg.norm(rig.centres[:, None] - rig.centres[None], axis=-1) / unit
        np.fill_diagonal(between, np.inf)
        size = float(np.clip(np.median(between.min(axis=1)) / 6, *PYRAMID_SIZES))
        return cls(rig, poses, unit, up, (float(near.min()), float(far.max())), size)

    def camera_at(
        self,
        wxyz: Float[np.ndarray, "4"],
        position: Float[np.ndarray, "3"],
        fov: float,
        size: Sequence[int],
    ) -> PathCamera:
        """Return a camera of the window that has this (height, width) in pixels, with depths of those near it."""
        rotation = Rotation.from_quat(wxyz, scalar_first=True).as_matrix().T
        w2c = np.c_[rotation, -rotation @ (position * self.unit)]
        height, width = size
        focal = height / 2 / np.tan(fov / 2)
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
        return PathCamera(K, w2c, depth_range_at(self.rig, w2c), (height, width))


def _pose(rig: CameraRig, index: int, looked_at: float, unit: float, up: Float[np.ndarray, "3"], height: int) -> Pose:
    position, forward, own = rig.centres[index] / unit, rig.forwards[index], rig.ups[index]
    right = np.cross(forward, own)
    level = up - (up @ right) * right  # together with the viewing direction, it gives the camera's own roll
    level = own if level @ own < UPRIGHT else level / np.linalg.norm(level)
    wxyz = Rotation.from_matrix(rig.w2c[index, :, :3].T).as_quat(scalar_first=True)
    fov = 2 * np.arctan(height / 2 / rig.K[index, 1, 1])
    return Pose(position, position + looked_at / unit * forward, level, wxyz, float(fov))
