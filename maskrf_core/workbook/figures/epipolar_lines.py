"""One point in several views: where its epipolar line says it can be, and where its depth says it is."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrf_core.workbook.experiments.epipolar_geometry import Segment
from maskrf_core.workbook.figures import new_figure
from maskrf_core.workbook.figures.scene_pictures import without_ticks

LINE, POINT = "yellow", "red"
WINDOW, SMALLEST_WINDOW = 2.5, 48.0
"""What is shown of an image around a short line: lengths of it, and pixels at least."""


def epipolar_lines(
    here: str,
    xy: tuple[float, float],
    images: Mapping[str, UInt8[np.ndarray, "_ _ 3"]],
    segments: Mapping[str, Segment],
    found: Mapping[str, Segment],
    ticks: Sequence[float],
) -> Figure:
    """A point in view `here`, and in each other view its epipolar line between near and far, with `ticks` of depth.

    `segments` has many samples for the line; `found` the one sample at the point's depth, if that is known.
    """
    shape = images[here].shape
    figure = new_figure(2.1 * (1 + len(segments)), 2.1 * shape[0] / shape[1] + 0.75)
    grid = figure.subplots(1, 1 + len(segments), squeeze=False)[0]
    _image(grid[0], images[here], f"{here}: the point")
    grid[0].plot(*xy, "+", color=POINT, markersize=12, markeredgewidth=2)
    for axes, (name, segment) in zip(grid[1:], segments.items(), strict=True):
        _image(axes, images[name], name)
        axes.plot(*segment.pixels_xy.T, color=LINE, linewidth=1.2)
        _mark_depths(axes, segment, ticks, images[name].shape)
        for x, y in found[name].pixels_xy if name in found else []:
            axes.plot(x, y, "o", color=POINT, markersize=8, markerfacecolor="none", markeredgewidth=1.5)
        _enlarge(axes, segment, images[name].shape)
    crossed = sum(
        any(_is_inside(x, y, images[name].shape) for x, y in segment.pixels_xy) for name, segment in segments.items()
    )
    known = f"at its depth {next(iter(found.values())).depths[0]:.3g} in the rings" if found else "depth unknown"
    figure.suptitle(
        f"The line of ({xy[0]:.0f}, {xy[1]:.0f}) from near to far: in {crossed} of {len(segments)} neighbours; {known}",
        fontsize=10,
    )
    figure.supxlabel(f"numbers on the lines: z-depth in {here} [scene units]", fontsize=8)
    return figure


def _mark_depths(axes: Axes, segment: Segment, ticks: Sequence[float], shape: tuple[int, ...]) -> None:
    """Dots at some depths, with numbers as far as they do not cover each other."""
    written = np.full(2, np.inf)
    for depth in ticks:
        at = segment.pixels_xy[np.abs(segment.depths - depth).argmin()]
        if not _is_inside(*at, shape):
            continue
        axes.plot(*at, ".", color=LINE, markersize=5)
        if not np.abs(at - written).max() < 0.12 * _window(segment, shape):
            axes.annotate(f"{depth:.3g}", at, (3, 3), textcoords="offset points", fontsize=7, color=LINE)
            written = at


def _enlarge(axes: Axes, segment: Segment, shape: tuple[int, ...]) -> None:
    """Show the surroundings of a short line alone."""
    side = _window(segment, shape)
    if side < shape[1]:
        x, y = np.nanmean(segment.pixels_xy, axis=0)
        axes.set(xlim=(x - side / 2, x + side / 2), ylim=(y + side / 2, y - side / 2))
        axes.set_title(f"{axes.get_title()}, enlarged", fontsize=9)


def _window(segment: Segment, shape: tuple[int, ...]) -> float:
    """Side of what is shown around a line, in pixels; the image's width if the line is long enough to be seen in it."""
    if not segment.is_in_front.any():
        return float(shape[1])
    extent = float(np.ptp(segment.pixels_xy[segment.is_in_front], axis=0).max())
    side = max(WINDOW * extent, SMALLEST_WINDOW)
    return side if 0 < side < shape[1] / 2 else float(shape[1])


def _image(axes: Axes, image: UInt8[np.ndarray, "height width 3"], title: str) -> None:
    axes.imshow(image)
    axes.set_title(title, fontsize=9)
    axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    without_ticks(np.array([axes]))


def _is_inside(x: float, y: float, shape: tuple[int, ...]) -> bool:
    return bool(-0.5 <= x <= shape[1] - 0.5 and -0.5 <= y <= shape[0] - 0.5)
