"""Draw where cameras stand, and where a point of one view lies in others."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrf_core.workbook.figures import draw_picture, new_figure

Segment = tuple[Float[np.ndarray, "_ 2"], Float[np.ndarray, "_"]]
"""Pixels xy of an epipolar line, NaN behind the camera, and the z-depths in the first view that they stand for."""
REFERENCE, QUERY = "tab:blue", "tab:orange"
MOST_FRUSTA = 40  # more cameras than these are drawn as points, between frusta
SHOWN_RANGES = 3  # cameras whose space between near and far is drawn
REACH_OF_NEAR, REACH_OF_SPREAD = 5, 2
"""Largest depth that is drawn: the larger of these multiples of near and of the cameras' distance from their middle."""
LINE, POINT = "yellow", "red"
WINDOW, SMALLEST_WINDOW = 2.5, 48.0
"""Part of an image that is shown around a short line: lengths of it, and pixels at least."""


def frustum_corners(
    K: Float[np.ndarray, "3 3"], w2c: Float[np.ndarray, "3 4"], size: tuple[int, int], depth: float
) -> Float[np.ndarray, "4 3"]:
    """Return the world points of the image's corners at a z-depth; `size` is (height, width)."""
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
    """Draw all cameras in 3-D, and of a few the space between near and far; queries in another colour.

    Of many cameras most are points, and a far plane that is very far is drawn nearer, which the title says.
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
    """Return a length so short that neighbours do not hide each other, and never beyond near."""
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
    """Draw the near and far planes that a camera sees, and the edges between them."""
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


def epipolar_lines(
    here: str,
    xy: tuple[float, float],
    images: Mapping[str, UInt8[np.ndarray, "_ _ 3"]],
    segments: Mapping[str, Segment],
    found: Mapping[str, Segment],
    ticks: Sequence[float],
) -> Figure:
    """Draw a point of view `here`, and its epipolar line from near to far in other views, with `ticks` of depth.

    `segments` have many samples for the line; `found` the one sample at the point's depth, if that is known.
    """
    shape = images[here].shape
    figure = new_figure(2.1 * (1 + len(segments)), 2.1 * shape[0] / shape[1] + 0.75)
    grid = figure.subplots(1, 1 + len(segments), squeeze=False)[0]
    draw_picture(grid[0], images[here], f"{here}: the point")
    grid[0].plot(*xy, "+", color=POINT, markersize=12, markeredgewidth=2)
    crossed = 0
    for axes, (name, (pixels, depths)) in zip(grid[1:], segments.items(), strict=True):
        side = _window(pixels, images[name].shape)
        is_short = side < images[name].shape[1]
        draw_picture(axes, images[name], f"{name}, enlarged" if is_short else name)
        axes.plot(*pixels.T, color=LINE, linewidth=1.2)
        _mark_depths(axes, pixels, depths, ticks, 0.12 * side, images[name].shape)
        for x, y in found[name][0] if name in found else []:
            axes.plot(x, y, "o", color=POINT, markersize=8, markerfacecolor="none", markeredgewidth=1.5)
        if is_short:
            x, y = np.nanmean(pixels, axis=0)
            axes.set(xlim=(x - side / 2, x + side / 2), ylim=(y + side / 2, y - side / 2))
        crossed += _is_inside(pixels, images[name].shape).any()
    known = f"at its depth {next(iter(found.values()))[1][0]:.3g} in the rings" if found else "depth unknown"
    line = f"The line of ({xy[0]:.0f}, {xy[1]:.0f}) from near to far"
    figure.suptitle(f"{line}: in {crossed} of {len(segments)} neighbours; {known}", fontsize=10)
    figure.supxlabel(f"numbers on the lines: z-depth in {here} [scene units]", fontsize=8)
    return figure


def _mark_depths(
    axes: Axes,
    pixels: Float[np.ndarray, "sample 2"],
    depths: Float[np.ndarray, "sample"],
    ticks: Sequence[float],
    apart: float,
    shape: tuple[int, ...],
) -> None:
    """Draw dots at some depths, with numbers as far as they are `apart` pixels and do not cover each other."""
    written = np.full(2, np.inf)
    for depth in ticks:
        at = pixels[np.abs(depths - depth).argmin()]
        if not _is_inside(at, shape):
            continue
        axes.plot(*at, ".", color=LINE, markersize=5)
        if not np.abs(at - written).max() < apart:
            axes.annotate(f"{depth:.3g}", at, (3, 3), textcoords="offset points", fontsize=7, color=LINE)
            written = at


def _window(pixels: Float[np.ndarray, "sample 2"], shape: tuple[int, ...]) -> float:
    """Return the side of what is shown around a line, in pixels; the image's width if the line is long enough in it."""
    seen = pixels[np.isfinite(pixels).all(axis=1)]
    side = max(WINDOW * float(np.ptp(seen, axis=0).max()), SMALLEST_WINDOW) if len(seen) else np.inf
    return side if side < shape[1] / 2 else float(shape[1])


def _is_inside(pixels: Float[np.ndarray, "... 2"], shape: tuple[int, ...]) -> Bool[np.ndarray, "..."] | np.bool_:
    """Return whether pixels xy are in an image of a shape; those that are NaN are not."""
    return ((pixels >= -0.5) & (pixels <= [shape[1] - 0.5, shape[0] - 0.5])).all(axis=-1)
