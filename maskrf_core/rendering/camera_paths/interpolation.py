"""Paths through the poses of chosen views and back to the first: positions by spline, rotations by slerp."""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise, permutations

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, Slerp

from maskrf_core.rendering.camera_paths.rig import CameraRig
from maskrf_core.settings.sections import PathSettings
from maskrf_core.support.errors import DatasetError

CHOSEN_VIEWS = 8
"""As many are chosen where nobody says which; the shortest tour of them is found by trying all."""


def interpolation(rig: CameraRig, settings: PathSettings) -> Float[np.ndarray, "frame 3 4"]:
    """A closed path that has a frame exactly at every chosen view, with a speed that is as even as that allows.

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


def view_distances(rig: CameraRig) -> Float[np.ndarray, "view view"]:
    """How far views are from each other: positions by their spread, and viewing directions."""
    apart = np.linalg.norm(rig.centres[:, None] - rig.centres[None], axis=-1)
    turned = np.linalg.norm(rig.forwards[:, None] - rig.forwards[None], axis=-1)
    return apart / (apart.max() or 1.0) + turned


def chosen_views(rig: CameraRig, count: int) -> list[int]:
    """Indices of up to `count` views far from each other, the first view among them, as the shortest closed tour."""
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
    """Whole numbers of frames, at least one a leg and `frames` in all, in proportion to the lengths."""
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
