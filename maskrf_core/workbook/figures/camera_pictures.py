"""Draw where cameras stand, and where a point of one view lies in others."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.spatial import KDTree

from maskrf_core.workbook.figures import TEXT, draw_picture, new_figure

REFERENCE, QUERY, SHOWN, CHOSEN = "tab:blue", "tab:orange", "tab:red", "tab:green"
MOST_FRUSTA = 40  # more cameras than these are drawn as points, between frusta
SHOWN_RANGES = 3  # cameras whose space between near and far is drawn
# Largest depth that is drawn: the larger of these multiples of near and of the cameras' distance from their middle.
REACH_OF_NEAR, REACH_OF_SPREAD = 5, 2
LINE_SHARE = 0.15  # of that depth: a line the way a chosen camera looks
LINE = "yellow"
# Part of an image that is shown around a short line: lengths of it, and pixels at least.
WINDOW, SMALLEST_WINDOW = 2.5, 48.0


def frustum_corners(
    K: Float[np.ndarray, "3 3"], w2c: Float[np.ndarray, "3 4"], size: tuple[int, int], depth: float
) -> Float[np.ndarray, "4 3"]:
    """Return the world points of the image's corners at a z-depth; `size` is (height, width)."""
    height, width = size
    pixels = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
    in_camera = np.c_[pixels, np.ones(4)] @ np.linalg.inv(K).T * depth
    return (in_camera - w2c[:, 3]) @ w2c[:, :3]


class ShownChoice(NamedTuple):
    """A query, the reference views that were chosen for it, and by which rule."""

    query: int
    references: set[int]
    rule: str


def camera_positions(
    K: Float[np.ndarray, "view 3 3"],
    w2c: Float[np.ndarray, "view 3 4"],
    depth_ranges: Float[np.ndarray, "view 2"],
    size: tuple[int, int],
    queries: set[int],
    choice: ShownChoice | None = None,
) -> Figure:
    """Draw all cameras in 3-D, and of a few the space between near and far; queries in another colour.

    Of many cameras most are points, and a far plane that is very far is drawn nearer, which the title says. The query
    of a `choice` and its references have colours of their own, and a line the way they look.
    """
    colours, kinds = _colours(len(K), queries, choice)
    centres = -np.einsum("vji,vj->vi", w2c[:, :, :3], w2c[:, :, 3])
    spread = np.linalg.norm(centres - np.median(centres, axis=0), axis=1).max()
    reach = max(REACH_OF_NEAR * depth_ranges[:, 0].max(), REACH_OF_SPREAD * spread)
    # Frusta are so short that neighbours do not hide each other, and never reach beyond near.
    apart = np.median(KDTree(centres).query(centres, k=2)[0][:, 1]) * max(1, len(centres) // MOST_FRUSTA)
    length = min(0.25 * depth_ranges[:, 0].min(), apart or np.inf)
    with_frustum = range(0, len(K), -(-len(K) // MOST_FRUSTA))
    with_range = with_frustum[:: -(-len(with_frustum) // SHOWN_RANGES)]
    with_line = {index for index, colour in colours.items() if colour in (SHOWN, CHOSEN)}
    with_frustum = with_line | {*with_frustum}
    title = _title(len(queries), depth_ranges, reach)
    figure, [[axes]] = new_figure(6.4, 3.7, title=title, subplot_kw={"projection": "3d"})
    for index, centre in enumerate(centres):
        colour = colours[index]
        if index not in with_frustum:
            axes.scatter(*centre, color=colour, s=3)
            continue
        corners = frustum_corners(K[index], w2c[index], size, length)
        _draw_solid(axes, np.broadcast_to(centre, (4, 3)), corners, colour, "-")
        if index in with_line:  # frusta of a rig's lenses are too small to show it
            line = np.stack([centre, centre + LINE_SHARE * reach * w2c[index, 2, :3]])
            axes.plot(*line.T, color=colour, linewidth=1.5)
        if index in with_range:
            end = min(depth_ranges[index][1], reach)
            planes = [frustum_corners(K[index], w2c[index], size, depth) for depth in (depth_ranges[index][0], end)]
            _draw_solid(axes, *planes, colour, ":")
            labels = ["near", "far" if end == depth_ranges[index][1] else "cut off"]
            for plane, label in zip(planes, labels if index == 0 else [], strict=False):
                axes.text(*plane[0], label, fontsize=TEXT, color=colour)
    _label(figure, axes, kinds)
    return figure


def _label(figure: Figure, axes: Axes, kinds: dict[str, str]) -> None:
    for kind, colour in kinds.items():
        axes.plot([], [], [], color=colour, label=kind)
    figure.legend(title="views", loc="outside right center", fontsize=TEXT)
    axes.set(xlabel="x [scene units]", ylabel="y [scene units]", zlabel="z [scene units]", aspect="equal")


def _title(queries: int, depth_ranges: Float[np.ndarray, "view 2"], reach: float) -> str:
    """Count the cameras, and say where far planes are drawn nearer than they are."""
    near, far = depth_ranges[:, 0].min(), depth_ranges[:, 1].max()
    cut_off = f"\n(far planes drawn at {reach:.3g}: the true ones would dwarf the cameras)" if far > reach else ""
    counted = f"{len(depth_ranges)} cameras, {queries} of them queries"
    return f"{counted}; depth ranges within {near:.2f} to {far:.2f}{cut_off}"


def _colours(count: int, queries: set[int], choice: ShownChoice | None) -> tuple[dict[int, str], dict[str, str]]:
    """Return the colour of every camera, and of every kind of them that there is."""
    colours = dict.fromkeys(range(count), REFERENCE) | dict.fromkeys(queries, QUERY)
    kinds = {"reference": REFERENCE} | ({"query": QUERY} if queries else {})
    if choice is not None:
        colours |= dict.fromkeys(choice.references, CHOSEN) | {choice.query: SHOWN}
        kinds |= {"one query": SHOWN, f"its references,\nby {choice.rule}": CHOSEN}
    return colours, kinds


def _draw_solid(
    axes: Axes, near: Float[np.ndarray, "4 3"], far: Float[np.ndarray, "4 3"], colour: str, style: str
) -> None:
    """Draw the outlines of two planes that a camera sees, and the edges between them."""
    for corners in (near, far):
        axes.plot(*np.vstack([corners, corners[:1]]).T, color=colour, linewidth=0.8, linestyle=style)
    edges = np.stack([near, far, np.full_like(near, np.nan)], axis=1)  # NaN lifts the pen
    axes.plot(*edges.reshape(-1, 3).T, color=colour, linewidth=0.5, linestyle=style)


def draw_epipolar_line(
    axes: Axes,
    image: UInt8[np.ndarray, "_ _ 3"],
    name: str,
    line: Float[np.ndarray, "sample 2"],
    ticks: Float[np.ndarray, "tick 2"],
    depths: Sequence[float],
) -> bool:
    """Draw an image with a line of pixels xy, NaN behind the camera, numbered at `ticks` with depths.

    Of a short line only the surroundings are shown, and only numbers that do not cover each other. Returns whether any
    of the line is in the image.
    """
    height, width = image.shape[:2]
    seen = line[np.isfinite(line).all(axis=1)]
    side = max(WINDOW * float(np.ptp(seen, axis=0).max()), SMALLEST_WINDOW) if len(seen) else np.inf
    is_short = side < width / 2
    draw_picture(axes, image, f"{name}, enlarged" if is_short else name)
    axes.plot(*line.T, color=LINE, linewidth=1.2)
    low, high = np.array([-0.5, -0.5]), np.array([width - 0.5, height - 0.5])
    apart, written = 0.12 * (side if is_short else width), np.full(2, np.inf)
    for at, depth in zip(ticks, depths, strict=True):
        if ((low <= at) & (at <= high)).all():
            axes.plot(*at, ".", color=LINE, markersize=5)
            if not np.abs(at - written).max() < apart:
                axes.annotate(f"{depth:.3g}", at, (3, 3), textcoords="offset points", fontsize=TEXT, color=LINE)
                written = at
    if is_short:
        x, y = seen.mean(axis=0)
        axes.set(xlim=(x - side / 2, x + side / 2), ylim=(y + side / 2, y - side / 2))
    return bool(((low <= seen) & (seen <= high)).all(axis=1).any())
