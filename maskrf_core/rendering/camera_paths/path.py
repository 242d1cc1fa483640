"""Query cameras of a path, from a scene's cameras and the settings of the path."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.files.resize import downscaled_size, scale_intrinsics
from maskrf_core.rendering.camera_paths.rig import CameraRig, common_target, depth_range_at, mean_axis
from maskrf_core.rendering.camera_paths.trajectories import circle, interpolation, orbit, spiral
from maskrf_core.settings.sections import PathKind, PathSettings
from maskrf_core.support.errors import DatasetError, SettingsError

ONE_WAY = np.radians(30)  # cameras look one way where nine tenths of them look within this angle of the mean direction
PATHS = {"spiral": spiral, "circle": circle, "orbit": orbit, "interpolate": interpolation}


@dataclass(frozen=True)
class PathCamera:
    """A query camera; `size` is (height, width) in pixels."""

    K: Float[np.ndarray, "3 3"]
    w2c: Float[np.ndarray, "3 4"]
    depth_range: tuple[float, float]
    size: tuple[int, int]


@dataclass(frozen=True)
class CameraPath:
    """Cameras in the order in which they are filmed, and the kind of path that they are (never `auto`)."""

    kind: PathKind
    cameras: list[PathCamera]


def camera_path(rig: CameraRig, settings: PathSettings) -> CameraPath:
    """Return the cameras of a path through a scene.

    All have the intrinsics of the rig's middle view, scaled down with the image where `largest_side` asks for it, and
    depth ranges from the cameras near them. The same rig and settings give the same path.

    Raises:
        DatasetError: the scene's cameras do not allow such a path; another one is named.
        SettingsError: the kind is `none`.
    """
    if settings.kind == "none":
        raise SettingsError("evaluation.path.kind is none: no path is asked for. Choose another kind")
    kind = fitting_kind(rig) if settings.kind == "auto" else settings.kind
    poses = PATHS[kind](rig, settings)
    ratio = min(1.0, (settings.largest_side or max(rig.size)) / max(rig.size))
    size, K = downscaled_size(*rig.size, ratio), scale_intrinsics(rig.K[rig.middle], ratio)
    return CameraPath(kind, [PathCamera(K, w2c, depth_range_at(rig, w2c), size) for w2c in poses])


def fitting_kind(rig: CameraRig) -> PathKind:
    """Choose spiral where the cameras look roughly one way, orbit around an object, else interpolation."""
    axis = mean_axis(rig.forwards)
    if axis is not None and np.quantile(np.arccos((rig.forwards @ axis).clip(-1, 1)), 0.9) <= ONE_WAY:
        return "spiral"
    try:
        common_target(rig)
    except DatasetError:
        return "interpolate"
    return "orbit"
