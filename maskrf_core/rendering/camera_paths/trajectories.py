"""Poses along a path: spiral, circle and orbit, whose cameras look at one point, and interpolation of views."""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise, permutations

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, Slerp

from maskrf_core.rendering.camera_paths.rig import CameraRig, common_target, up_axis, viewing_axis
from maskrf_core.settings.sections import PathSettings
from maskrf_core.support.errors import DatasetError

SPREAD_QUANTILE = 0.9
"""Of the cameras' distances from their mean: where a spiral goes, a tenth of the cameras went further."""
RADIUS_WITHOUT_SPREAD = 0.05
"""Radius where all cameras stand in one place, as a share of the depth of what is looked at."""
LARGEST_APPROACH = 0.5  # A spiral moves forward by at most this share of the depth of what it looks at
STEEPEST_ELEVATION = np.radians(85)
"""Beyond, the up axis and the viewing direction no longer say how a camera is rolled."""
GAP_OF_AN_ARC = np.radians(120)
"""Where no camera stands over this angle, an orbit swings to and fro over the rest: nobody saw the other side."""
SMALLEST_ARC = np.radians(20)
CHOSEN_VIEWS = 8  # as many are chosen where nobody says which; the shortest tour of them is found by trying all


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
    x, y, z = _spread(rig, settings)
    return _around_the_mean(rig, settings, (x, y, z), settings.turns or 2)


def circle(rig: CameraRig, settings: PathSettings) -> Float[np.ndarray, "frame 3 4"]:
    """Circle as `spiral`, in a plane: the radius is the root mean square of the spiral's two."""
    x, y, _ = _spread(rig, settings)
    radius = float(np.sqrt((x**2 + y**2) / 2))
    return _around_the_mean(rig, settings, (radius, radius, 0.0), settings.turns or 1)


def orbit(rig: CameraRig, settings: PathSettings) -> Float[np.ndarray, "frame 3 4"]:
    """Circle around the point nearest to all optical axes, at the median distance and elevation of the cameras.

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


def interpolation(rig: CameraRig, settings: PathSettings) -> Float[np.ndarray, "frame 3 4"]:
    """Interpolate a closed path that has a frame exactly at every chosen view, at a speed as even as that allows.

    Positions are a periodic cubic spline over the frames, so they and their speed and acceleration are continuous;
    rotations turn evenly from view to view.

    Raises:
        DatasetError: there are fewer than two views, more than frames, or no view of that name.
    """
    if len(rig.w2c) < 2:
        raise DatasetError(
            f"{rig.name}: a path through views needs at least two of them, and there is {len(rig.w2c)}. Use the path "
            "spiral or circle."
        )
    tour = _named(rig, settings) if settings.views else chosen_views(rig, min(CHOSEN_VIEWS, settings.frames))
    frames = settings.frames // (settings.turns or 1)
    if len(tour) > frames:
        raise DatasetError(
            f"{rig.name}: a path of {frames} frames a turn cannot pass through {len(tour)} views. Ask for more frames "
            "or fewer views."
        )
    distances = view_distances(rig)
    closed = [*tour, tour[0]]
    lengths = np.array([distances[here, there] for here, there in pairwise(closed)])
    at = np.concatenate([[0], np.cumsum(frames_of_legs(lengths, frames))])
    asked = np.arange(settings.frames) % frames
    positions = CubicSpline(at, rig.centres[closed], bc_type="periodic")(asked)
    # Rotation makes the nearest rotation of what was rounded when it was written.
    rotations = Slerp(at, Rotation.from_matrix(rig.w2c[closed, :, :3]))(asked).as_matrix()
    return np.concatenate([rotations, -np.einsum("fij,fj->fi", rotations, positions)[..., None]], axis=-1)


def _azimuths_of_path(
    azimuths: Float[np.ndarray, "view"], portions: Float[np.ndarray, "frame"], turns: int
) -> Float[np.ndarray, "frame"]:
    """Go all the way round from the first camera (azimuth 0), or over the arc on which cameras stand and back."""
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
    """Return right, up and forward of the mean camera."""
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
    """Return the radii to the right, upwards and forward."""
    depth = focus_depth(rig, settings.focus)
    offsets = np.abs((rig.centres - rig.centres.mean(axis=0)) @ _mean_axes(rig).T)
    radii = np.quantile(offsets, SPREAD_QUANTILE, axis=0)
    if radii.max() < 1e-6 * depth:
        radii = RADIUS_WITHOUT_SPREAD * depth * np.array([1.0, 1.0, 0.0])
    x, y, z = settings.radius_scale * radii
    return float(x), float(y), float(min(z, LARGEST_APPROACH * depth))


def _portions(frames: int) -> Float[np.ndarray, "frame"]:
    """Return numbers from 0 to 1 without 1, which is the beginning again."""
    return np.arange(frames) / frames


def _any_perpendicular(axis: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    across = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    return across / np.linalg.norm(across)


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


def _named(rig: CameraRig, settings: PathSettings) -> Sequence[int]:
    for name in settings.views:
        if name not in rig.image_ids:
            nearest = get_close_matches(name, rig.image_ids, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else f" There are {', '.join(rig.image_ids)}."
            raise DatasetError(f"{rig.name}: evaluation.path.views names {name!r}, which is no reference view.{hint}")
    return [rig.image_ids.index(name) for name in settings.views]
