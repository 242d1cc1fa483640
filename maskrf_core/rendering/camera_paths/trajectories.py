"""Paths whose cameras all look at one point: spiral, circle and orbit."""

import numpy as np
from jaxtyping import Float

from maskrf_core.rendering.camera_paths.rig import CameraRig, common_target, up_axis, viewing_axis
from maskrf_core.settings.sections import PathSettings

SPREAD_QUANTILE = 0.9
"""Of the cameras' distances from their mean: where a spiral goes, a tenth of the cameras went further."""
RADIUS_WITHOUT_SPREAD = 0.05
"""Radius where all cameras stand in one place, as a share of the depth of what is looked at."""
LARGEST_APPROACH = 0.5
"""A spiral moves forward by at most this share of the depth of what it looks at."""
STEEPEST_ELEVATION = np.radians(85)
"""Beyond, the up axis and the viewing direction no longer say how a camera is rolled."""
GAP_OF_AN_ARC = np.radians(120)
"""Where no camera stands over this angle, an orbit swings to and fro over the rest: nobody saw the other side."""
SMALLEST_ARC = np.radians(20)


def look_at(
    position: Float[np.ndarray, "3"], target: Float[np.ndarray, "3"], up: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "3 4"]:
    """w2c of a camera at `position` whose axis goes through `target`, its image upright against `up`."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return np.c_[rotation, -rotation @ position]


def focus_depth(rig: CameraRig, focus: float) -> float:
    """Depth between the median near and far, `focus` of the way in inverse depth."""
    near, far = np.median(rig.depth_range, axis=0)
    return float(1 / ((1 - focus) / near + focus / far))


def spiral(rig: CameraRig, settings: PathSettings) -> Float[np.ndarray, "frame 3 4"]:
    """Around the mean camera in its image plane, forward and back once, looking at a point on the mean axis.

    Position s of 0 to 1: mean + x cos(2π turns s) right + y sin(2π turns s) up + z sin(2π s) forward. x, y and z are
    what nine tenths of the cameras stay within.
    """
    x, y, z = _spread(rig, settings)
    return _around_the_mean(rig, settings, (x, y, z), settings.turns or 2)


def circle(rig: CameraRig, settings: PathSettings) -> Float[np.ndarray, "frame 3 4"]:
    """As a spiral, in a plane: the radius is the root mean square of the spiral's two."""
    x, y, _ = _spread(rig, settings)
    radius = float(np.sqrt((x**2 + y**2) / 2))
    return _around_the_mean(rig, settings, (radius, radius, 0.0), settings.turns or 1)


def orbit(rig: CameraRig, settings: PathSettings) -> Float[np.ndarray, "frame 3 4"]:
    """Around the point nearest to all optical axes, at the median distance and elevation of the cameras.

    Where cameras stand on one side only, the orbit swings over that side and back.

    Raises:
        DatasetError: as `common_target`.
    """
    target, up = common_target(rig), up_axis(rig)
    offsets = rig.centres - target
    distances = np.linalg.norm(offsets, axis=1)
    elevations = np.arcsin((offsets @ up / distances.clip(1e-12)).clip(-1, 1))
    elevation = float(np.median(elevations).clip(-STEEPEST_ELEVATION, STEEPEST_ELEVATION))
    distance = float(np.median(distances)) * settings.radius_scale
    level = offsets - (offsets @ up)[:, None] * up
    east = _any_perpendicular(up) if np.linalg.norm(level[0]) < 1e-9 * distances[0] else level[0]
    east = east / np.linalg.norm(east)
    north = np.cross(up, east)
    azimuths = np.arctan2(level @ north, level @ east)
    at = _azimuths_of_path(azimuths, _portions(settings.frames), settings.turns or 1)
    around = np.cos(at)[:, None] * east + np.sin(at)[:, None] * north
    positions = target + distance * (np.cos(elevation) * around + np.sin(elevation) * up)
    return np.stack([look_at(position, target, up) for position in positions])


def _azimuths_of_path(
    azimuths: Float[np.ndarray, "view"], portions: Float[np.ndarray, "frame"], turns: int
) -> Float[np.ndarray, "frame"]:
    """All the way round from the first camera (azimuth 0), or over the arc on which cameras stand and back."""
    ordered = np.sort(azimuths)
    gaps = np.diff(ordered, append=ordered[0] + 2 * np.pi)
    widest = int(gaps.argmax())
    if gaps[widest] <= GAP_OF_AN_ARC:
        return 2 * np.pi * turns * portions
    half = max(2 * np.pi - gaps[widest], SMALLEST_ARC) / 2
    middle = ordered[widest] + gaps[widest] / 2 + np.pi
    return middle + half * np.sin(2 * np.pi * turns * portions)


def _around_the_mean(
    rig: CameraRig, settings: PathSettings, radii: tuple[float, float, float], turns: int
) -> Float[np.ndarray, "frame 3 4"]:
    right, up, forward = _mean_axes(rig)
    mean = rig.centres.mean(axis=0)
    target = mean + focus_depth(rig, settings.focus) * forward
    angle = 2 * np.pi * _portions(settings.frames)[:, None]
    x, y, z = radii
    positions = mean + x * np.cos(turns * angle) * right + y * np.sin(turns * angle) * up + z * np.sin(angle) * forward
    return np.stack([look_at(position, target, up) for position in positions])


def _mean_axes(rig: CameraRig) -> Float[np.ndarray, "3 3"]:
    """Right, up and forward of the mean camera."""
    forward = viewing_axis(rig)
    up = rig.ups.mean(axis=0)
    if np.linalg.norm(np.cross(forward, up)) < 0.1:  # cameras held every way: as the middle one is held
        up = rig.ups[rig.middle]
    if np.linalg.norm(np.cross(forward, up)) < 0.1:
        up = _any_perpendicular(forward)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, forward), forward])


def _spread(rig: CameraRig, settings: PathSettings) -> tuple[float, float, float]:
    """Radii to the right, upwards and forward."""
    depth = focus_depth(rig, settings.focus)
    offsets = np.abs((rig.centres - rig.centres.mean(axis=0)) @ _mean_axes(rig).T)
    radii = np.quantile(offsets, SPREAD_QUANTILE, axis=0)
    if radii.max() < 1e-6 * depth:
        radii = RADIUS_WITHOUT_SPREAD * depth * np.array([1.0, 1.0, 0.0])
    x, y, z = settings.radius_scale * radii
    return float(x), float(y), float(min(z, LARGEST_APPROACH * depth))


def _portions(frames: int) -> Float[np.ndarray, "frame"]:
    """0 to 1 without its end, which is the beginning again."""
    return np.arange(frames) / frames


def _any_perpendicular(axis: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    across = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    return across / np.linalg.norm(across)
