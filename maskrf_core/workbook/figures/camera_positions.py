"""Where cameras stand and what they see."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from maskrf_core.workbook.figures import new_figure

REFERENCE, QUERY = "tab:blue", "tab:orange"
MOST_FRUSTA = 40
"""More cameras than these are drawn as points, between frusta."""
SHOWN_RANGES = 3
"""Cameras whose space between near and far is drawn."""
REACH_OF_NEAR, REACH_OF_SPREAD = 5, 2
"""Largest depth that is drawn: the larger of these multiples of near and of the cameras' distance from their middle."""


def frustum_corners(
    K: Float[np.ndarray, "3 3"], w2c: Float[np.ndarray, "3 4"], size: tuple[int, int], depth: float
) -> Float[np.ndarray, "4 3"]:
    """World points of the image's corners at a z-depth; `size` is (height, width)."""
    height, width = size
    pixels = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
    in_camera = np.c_[pixels, np.ones(4)] @ np.linalg.inv(K).T * depth
    return (in_camera - w2c[:, 3]) @ w2c[:, :3]


def camera_positions(
    K: Float[np.ndarray, "view 3 3"],
    w2c: Float[np.ndarray, "view 3 4"],
    depth_ranges: Float[np.ndarray, "view 2"],
    size: tuple[int, int],
    queries: set[int],
) -> Figure:
    """All cameras in 3-D, and of a few the space between near and far; queries in another colour.

    Many cameras are points but for some, and a far plane that is very far is drawn nearer: the picture stays
    readable, and says so.
    """
    figure = new_figure(5.6, 4.8)
    axes = figure.add_subplot(projection="3d")
    centres = -np.einsum("vji,vj->vi", w2c[:, :, :3], w2c[:, :, 3])
    near, far = depth_ranges[:, 0].min(), depth_ranges[:, 1].max()
    spread = np.linalg.norm(centres - np.median(centres, axis=0), axis=1).max()
    reach = max(REACH_OF_NEAR * depth_ranges[:, 0].max(), REACH_OF_SPREAD * spread)
    length = _frustum_length(centres, near)
    with_frustum = range(0, len(K), -(-len(K) // MOST_FRUSTA))
    with_range = list(with_frustum)[:: -(-len(with_frustum) // SHOWN_RANGES)]
    for index, centre in enumerate(centres):
        colour = QUERY if index in queries else REFERENCE
        if index not in with_frustum:
            axes.scatter(*centre, color=colour, s=3)
            continue
        _draw_frustum(axes, centre, frustum_corners(K[index], w2c[index], size, length), colour)
        if index in with_range:
            ends = depth_ranges[index][0], min(depth_ranges[index][1], reach)
            planes = [frustum_corners(K[index], w2c[index], size, end) for end in ends]
            labels = ("near", "far" if ends[1] == depth_ranges[index][1] else "cut off") if index == 0 else ("", "")
            _draw_range(axes, *planes, colour, labels)
    _finish(axes, len(queries))
    cut_off = f"\n(far planes drawn at {reach:.3g}: the true ones would dwarf the cameras)" if far > reach else ""
    title = f"{len(K)} cameras, {len(queries)} of them queries; depth ranges within {near:.2f} to {far:.2f}{cut_off}"
    axes.set_title(title, fontsize=11)
    return figure


def _frustum_length(centres: Float[np.ndarray, "view 3"], near: float) -> float:
    """So short that neighbours do not hide each other, and never beyond near."""
    if len(centres) < 2:
        return 0.25 * near
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=-1) + np.diag(np.full(len(centres), np.inf))
    between = float(np.median(distances.min(axis=1))) * max(1, len(centres) // MOST_FRUSTA)
    return min(0.25 * near, between) if between > 0 else 0.25 * near


def _draw_frustum(axes, centre: Float[np.ndarray, "3"], corners: Float[np.ndarray, "4 3"], colour: str) -> None:
    for corner in corners:
        axes.plot(*np.c_[centre, corner], color=colour, linewidth=0.7)
    axes.plot(*np.vstack([corners, corners[:1]]).T, color=colour, linewidth=0.7)


def _draw_range(
    axes, near: Float[np.ndarray, "4 3"], far: Float[np.ndarray, "4 3"], colour: str, labels: tuple[str, str]
) -> None:
    """The near and far planes that a camera sees, and the edges between them."""
    for corners, label in zip((near, far), labels, strict=True):
        axes.plot(*np.vstack([corners, corners[:1]]).T, color=colour, linewidth=0.8, linestyle=":")
        if label:
            axes.text(*corners[0], label, fontsize=7, color=colour)
    edges = np.stack([near, far, np.full_like(near, np.nan)], axis=1)  # NaN lifts the pen
    axes.plot(*edges.reshape(-1, 3).T, color=colour, linewidth=0.4, linestyle=":")


def _finish(axes, queries: int) -> None:
    for colour, kind in [(REFERENCE, "reference"), (QUERY, "query")][: 1 + (queries > 0)]:
        axes.plot([], [], [], color=colour, label=kind)
    axes.legend(title="views", loc="upper left")
    axes.set(xlabel="x [scene units]", ylabel="y [scene units]", zlabel="z [scene units]", aspect="equal")
