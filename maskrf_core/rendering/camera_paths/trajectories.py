"""Camera paths: query cameras on a spiral, a circle, an orbit, or through chosen views."""

from difflib import get_close_matches
from itertools import permutations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, Slerp

from maskrf_core.datasets.files.downscaling import downscaled_size, scale_intrinsics
from maskrf_core.rendering.camera_paths.rig import CameraRig, common_target, depth_range_at, mean_axis, up_axis
from maskrf_core.settings.sections import PathKind, PathSettings
from maskrf_core.support.errors import DatasetError, SettingsError, in_short

ONE_WAY = np.radians(30)  # cameras look one way where nine tenths of them look within this angle of the mean direction
SPREAD_QUANTILE = 0.9  # of the cameras' distances from their mean: where a spiral goes, a tenth went further
RADIUS_WITHOUT_SPREAD = 0.05  # where all cameras stand in one place: share of the depth of what is looked at
LARGEST_APPROACH = 0.5  # a spiral moves forward by at most this share of the depth of what it looks at
STEEPEST_ELEVATION = np.radians(85)  # beyond, up and viewing direction no longer say how a camera is rolled
GAP_OF_AN_ARC = np.radians(120)
"""Where no camera stands over this angle, an orbit swings to and fro over the rest: nobody saw the other side."""
SMALLEST_ARC = np.radians(20)
CHOSEN_VIEWS = 8  # as many are chosen where nobody says which; the shortest tour of them is found by trying all


class PathCamera(NamedTuple):
    """A query camera; `size` is (height, width) in pixels."""

    K: Float[np.ndarray, "3 3"]
    w2c: Float[np.ndarray, "3 4"]
    depth_range: tuple[float, float]
    size: tuple[int, int]


def camera_path(rig: CameraRig, settings: PathSettings) -> tuple[PathKind, list[PathCamera]]:
    """Return the kind of a path through a scene (never `auto`), and its cameras in order.

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
    return kind, [PathCamera(K, w2c, depth_range_at(rig, w2c), size) for w2c in poses]


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


def look_at(
    position: Float[np.ndarray, "3"], target: Float[np.ndarray, "3"], up: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "3 4"]:
    """Return the w2c of a camera at `position` whose axis goes through `target`, its image upright against `up`."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return np.c_[rotation, -rotation @ position]


def focus_depth(rig: CameraRig, focus: float) -> float:
    """Return the depth between the median near and far, `focus` of the way in inverse depth."""
    near, far = np.median(rig.depth_range, axis=0)
    return float(1 / ((1 - focus) / near + focus / far))


def spiral(rig: CameraRig, settings: PathSettings) -> Float[np.ndarray, "frame 3 4"]:
    """Circle around the mean camera in its image plane, forward and back once, looking at a point on the mean axis.

    Position s of 0 to 1: mean + x cos(2π turns s) right + y sin(2π turns s) up + z sin(2π s) forward. x, y and z are
    what nine tenths of the cameras stay within.
    """
    return _around_the_mean(rig, settings, settings.turns or 2, flat=False)


def circle(rig: CameraRig, settings: PathSettings) -> Float[np.ndarray, "frame 3 4"]:
    """Circle as `spiral`, in a plane: the radius is the root mean square of the spiral's two."""
    return _around_the_mean(rig, settings, settings.turns or 1, flat=True)


def _around_the_mean(rig: CameraRig, settings: PathSettings, turns: int, flat: bool) -> Float[np.ndarray, "frame 3 4"]:
    axes = right, up, forward = _mean_axes(rig)
    mean, depth = rig.centres.mean(axis=0), focus_depth(rig, settings.focus)
    radii = np.quantile(np.abs((rig.centres - mean) @ np.stack(axes).T), SPREAD_QUANTILE, axis=0)
    if radii.max() < 1e-6 * depth:
        radii = RADIUS_WITHOUT_SPREAD * depth * np.array([1.0, 1.0, 0.0])
    x, y, z = (settings.radius_scale * radii).tolist()
    if flat:
        x = y = float(np.sqrt((x**2 + y**2) / 2))
    z = 0.0 if flat else min(z, LARGEST_APPROACH * depth)
    angle = 2 * np.pi * _portions(settings.frames)[:, None]
    positions = mean + x * np.cos(turns * angle) * right + y * np.sin(turns * angle) * up + z * np.sin(angle) * forward
    return np.stack([look_at(position, mean + depth * forward, up) for position in positions])


def _mean_axes(rig: CameraRig) -> tuple[Float[np.ndarray, "3"], ...]:
    """Return right, up and forward of the mean camera."""
    forward = mean_axis(rig.forwards)
    if forward is None:
        raise DatasetError(
            f"{rig.name}: its cameras look in all directions, so no spiral or circle shows what they see. Use the path "
            "orbit or interpolate."
        )
    up = rig.ups.mean(axis=0)
    if np.linalg.norm(np.cross(forward, up)) < 0.1:  # cameras held every way: as the middle one is held
        up = rig.ups[rig.middle]
    if np.linalg.norm(np.cross(forward, up)) < 0.1:
        up = _any_perpendicular(forward)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    return right, np.cross(right, forward), forward


def _portions(frames: int) -> Float[np.ndarray, "frame"]:
    """Return numbers from 0 to 1 without 1, which is the beginning again."""
    return np.arange(frames) / frames


def _any_perpendicular(axis: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    across = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    return across / np.linalg.norm(across)


def orbit(rig: CameraRig, settings: PathSettings) -> Float[np.ndarray, "frame 3 4"]:
    """Circle around the point nearest to all optical axes, at the median distance and elevation of the cameras.

    It begins at the first camera; where cameras stand on one side only, it swings over that side and back.
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
    ordered = np.sort(np.arctan2(level @ north, level @ east))
    gaps = np.diff(ordered, append=ordered[0] + 2 * np.pi)
    widest, at = int(gaps.argmax()), 2 * np.pi * (settings.turns or 1) * _portions(settings.frames)
    if gaps[widest] > GAP_OF_AN_ARC:
        half = max(2 * np.pi - gaps[widest], SMALLEST_ARC) / 2
        at = ordered[widest] + gaps[widest] / 2 + np.pi + half * np.sin(at)
    around = np.cos(at)[:, None] * east + np.sin(at)[:, None] * north
    positions = target + distance * (np.cos(elevation) * around + np.sin(elevation) * up)
    return np.stack([look_at(position, target, up) for position in positions])


def interpolation(rig: CameraRig, settings: PathSettings) -> Float[np.ndarray, "frame 3 4"]:
    """Interpolate a closed path that has a frame exactly at every chosen view, at a speed as even as that allows.

    Positions are a periodic cubic spline over the frames, so they and their speed and acceleration are continuous;
    rotations turn evenly from view to view.
    """
    if len(rig.w2c) < 2:
        raise DatasetError(
            f"{rig.name}: a path through views needs at least two, and there is {len(rig.w2c)}. Use the path spiral or "
            "circle."
        )
    for name in settings.views or ():
        if name not in rig.image_ids:
            nearest = get_close_matches(name, rig.image_ids, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else f" There are {in_short(rig.image_ids)}."
            raise DatasetError(f"{rig.name}: evaluation.path.views names {name!r}, which is no reference view.{hint}")
    named = [rig.image_ids.index(name) for name in settings.views or ()]
    tour = named or chosen_views(rig, min(CHOSEN_VIEWS, settings.frames))
    frames = settings.frames // (settings.turns or 1)
    if len(tour) > frames:
        raise DatasetError(
            f"{rig.name}: {frames} frames a turn cannot pass through {len(tour)} views. Ask for more frames or fewer "
            "views."
        )
    closed = [*tour, tour[0]]
    lengths = view_distances(rig)[closed[:-1], closed[1:]]
    at = np.concatenate([[0], np.cumsum(frames_of_legs(lengths, frames))])
    asked = np.arange(settings.frames) % frames
    positions = CubicSpline(at, rig.centres[closed], bc_type="periodic")(asked)
    # Rotation makes the nearest rotation of what was rounded when it was written.
    rotations = Slerp(at, Rotation.from_matrix(rig.w2c[closed, :, :3]))(asked).as_matrix()
    return np.concatenate([rotations, -np.einsum("fij,fj->fi", rotations, positions)[..., None]], axis=-1)


def view_distances(rig: CameraRig) -> Float[np.ndarray, "view view"]:
    """Return how far views are from each other: positions by their spread, and viewing directions."""
    apart = np.linalg.norm(rig.centres[:, None] - rig.centres[None], axis=-1)
    turned = np.linalg.norm(rig.forwards[:, None] - rig.forwards[None], axis=-1)
    return apart / (apart.max() or 1.0) + turned


def chosen_views(rig: CameraRig, count: int) -> list[int]:
    """Choose up to `count` views far from each other, the first among them, ordered as the shortest closed tour."""
    distances = view_distances(rig)
    chosen = [0]
    while len(chosen) < min(count, len(distances)):
        nearest = distances[chosen].min(axis=0)
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    tours = np.array([(0, *order, 0) for order in permutations(range(1, len(chosen)))])
    between = distances[np.ix_(chosen, chosen)]
    lengths = between[tours[:, :-1], tours[:, 1:]].sum(axis=1)
    return [chosen[index] for index in tours[lengths.argmin()][:-1]]


def frames_of_legs(lengths: Float[np.ndarray, "leg"], frames: int) -> np.ndarray:
    """Return whole numbers of frames, at least one a leg and `frames` in all, in proportion to the lengths."""
    shares = lengths / lengths.sum() if lengths.sum() > 0 else np.full(len(lengths), 1 / len(lengths))
    exact = shares * (frames - len(lengths))
    counts = np.floor(exact).astype(int)
    left = frames - len(lengths) - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    return counts + 1


PATHS = {"spiral": spiral, "circle": circle, "orbit": orbit, "interpolate": interpolation}
