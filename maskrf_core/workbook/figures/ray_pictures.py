"""Draw one ray: its samples in the reference views, what is seen and hit along it, what a mask hides and changes.

Everything is placed in inches, so that the samples of one picture stand below those of another.
"""

import numpy as np
from jaxtyping import Bool, Float, Int64
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.workbook.experiments.ray_inspection import RayLook
from maskrf_core.workbook.figures import DOTS_PER_INCH, TEXT

WIDTH = 9.0  # inches
COLUMNS, BESIDE, HEADING, BELOW = 6, 0.85, 0.3, 0.3  # of the pictures; inches right of, above, and below each row
LEFT, ROW, ABOVE_ROW, TICKS = 0.75, 0.8, 0.32, 0.62  # inches: left of and of a row along the ray; its last one's ticks
POINT, HITS, SEEN, HIDDEN, UNMASKED, MASKED = "red", "autumn_r", "Blues", "Greys", "tab:blue", "tab:red"
DISTANCE, DISTANCE_MASKED = "moccasin", "tab:orange"


def samples_in_views(
    batch: SceneBatch,
    xy: tuple[float, float],
    pixels_xy: Float[Tensor, "view sample 2"],
    view_hits: Float[Tensor, "view sample"],
) -> Figure:
    """Draw a pixel of the query, and its samples in each reference view, coloured by that view's hit probability."""
    figure = _figure(_height_of_pictures(batch), f"samples of pixel ({xy[0]:.0f}, {xy[1]:.0f}) in each reference view")
    _draw_samples(figure, batch, xy, pixels_xy, view_hits)
    return figure


def along_ray(
    depths: Float[Tensor, "sample"],
    visibility: Float[Tensor, "view sample"],
    hits: Float[Tensor, "sample"],
    mask: Bool[Tensor, "view sample"] | None = None,
    masked_hits: Float[Tensor, "sample"] | None = None,
    coarse_positions: Int64[Tensor, "coarse_sample"] | None = None,
    distances: Float[Tensor, "coarse_sample"] | None = None,
) -> Figure:
    """Draw visibility by view and hit probability along a ray, near to far; and below, in line with it, a mask, and
    the distance of prediction and target at the coarse samples."""
    rows = [len(visibility), None, *([] if mask is None else [len(mask)]), *([] if distances is None else [None])]
    figure = _figure(_height_of_rows(rows), "along a ray: visibility, hit probability, and what a mask changes")
    _draw_rows(figure, 0.0, depths, visibility, hits, mask, masked_hits, coarse_positions, distances)
    return figure


def ray_picture(batch: SceneBatch, xy: tuple[float, float], truth: Float[Tensor, "3"], look: RayLook) -> Figure:
    """Draw all of that of one ray, with the share of each view in its colour."""
    mask = look.mask if look.mask.any() else None
    views = len(look.visibility)
    rows = [views, None, *([] if mask is None else [views]), *([] if look.distances is None else [None])]
    pictures = _height_of_pictures(batch)
    said = f"the ray of pixel ({xy[0]:.0f}, {xy[1]:.0f}): its samples in the views, {look.shown}, hit probability, mask"
    figure = _figure(pictures + _height_of_rows(rows), said)
    colours = {"true": truth, "rendered": look.rgb} | ({} if mask is None else {"masked": look.masked_rgb})
    hits = "view's hit probability" if look.shown == "visibility" else "view's weight × hit probability"
    shares = look.shares if look.blends else None
    _draw_samples(figure, batch, xy, look.pixels_xy, look.view_hits, shares, colours, hits)
    masked = (None, None) if mask is None else (mask, look.masked_hits)
    _draw_rows(figure, pictures, look.depths, look.visibility, look.hits, *masked, look.coarse_positions,
               look.distances, look.shown)  # fmt: skip
    return figure


def _figure(height: float, said: str) -> Figure:
    """Return an empty figure with words for those who cannot see it: its titles belong to its parts."""
    figure = Figure(figsize=(WIDTH, height), dpi=DOTS_PER_INCH)
    figure.set_label(said)
    return figure


def _place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes at inches from the upper left corner."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def _size_of_pictures(batch: SceneBatch) -> tuple[float, float]:
    """Return width and height in inches of the place for a picture."""
    width = (WIDTH - BESIDE) / min(COLUMNS, 1 + len(batch.references)) - 0.06
    shapes = (batch.query.image_size, batch.references.image_size)
    return width, width * min(1.2, max(height / width for height, width in shapes))


def _height_of_pictures(batch: SceneBatch) -> float:
    rows = -(-(1 + len(batch.references)) // COLUMNS)
    return rows * (HEADING + _size_of_pictures(batch)[1] + BELOW)


def _height_of_rows(views: list[int | None]) -> float:
    """Return the height of rows along the ray: of pictures of so many views, or (None) of curves."""
    return sum(ABOVE_ROW + _height_of_row(count) for count in views) + TICKS


def _height_of_row(views: int | None) -> float:
    return ROW if views is None else max(ROW, 0.17 * views)


def _draw_samples(
    figure: Figure,
    batch: SceneBatch,
    xy: tuple[float, float],
    pixels_xy: Float[Tensor, "view sample 2"],
    view_hits: Float[Tensor, "view sample"],
    shares: Float[Tensor, "view"] | None = None,
    colours: dict[str, Float[Tensor, "3"]] | None = None,
    bar_label: str = "view's hit probability",
) -> None:
    width, height = _size_of_pictures(batch)
    largest = max(float(view_hits.max()), 1e-3)
    everything = _place(
        figure, 0.0, 0.0, WIDTH - BESIDE, _height_of_pictures(batch)
    )  # one for all: drawn in half the time
    everything.set_axis_off()
    everything.set(xlim=(0, WIDTH - BESIDE), ylim=(_height_of_pictures(batch), 0))
    shown, hits = [], []
    for number, picture in enumerate([batch.query.images[0], *batch.references.images]):
        row, column = divmod(number, COLUMNS)
        corner = np.array([column * (width + 0.06) + 0.03, row * (HEADING + height + BELOW) + HEADING])
        size = np.array(picture.shape[:0:-1])  # width, height in pixels
        scale = min(width / size[0], height / size[1])
        right, bottom = corner + scale * size
        pixels = picture.permute(1, 2, 0).cpu().numpy()
        everything.imshow(pixels, extent=(corner[0], right, bottom, corner[1]), aspect="auto")
        if number == 0:
            title = f"query ({xy[0]:.0f}, {xy[1]:.0f})"
            place = corner + (np.array(xy) + 0.5) * scale
            everything.plot(*place, "+", color=POINT, markersize=12, markeredgewidth=2)
            _write_colours(everything, corner[0], bottom, colours or {})
        else:
            title = f"view {number - 1}" + ("" if shares is None else f" gives {shares[number - 1]:.0%}")
            shown.append(corner + (pixels_xy[number - 1].cpu().numpy() + 0.5) * scale)
            hits.append(view_hits[number - 1].cpu().numpy())
        everything.text((corner[0] + right) / 2, corner[1] - 0.06, title, fontsize=TEXT, ha="center", va="bottom")
    everything.set(xlim=(0, WIDTH - BESIDE), ylim=(_height_of_pictures(batch), 0))
    order = np.concatenate(hits).argsort()  # the likeliest on top
    places, hits = np.concatenate(shown)[order], np.concatenate(hits)[order]
    dots = everything.scatter(*places.T, c=hits, cmap=HITS, norm=PowerNorm(0.5, 0, largest), s=16, linewidths=0.4,
                              edgecolors="black", zorder=3)  # fmt: skip
    bar = _place(figure, WIDTH - BESIDE + 0.12, HEADING, 0.12, height)
    figure.colorbar(dots, cax=bar, ticks=MaxNLocator(3)).set_label(bar_label, fontsize=TEXT)
    bar.tick_params(labelsize=TEXT)


def _write_colours(axes: Axes, left: float, top: float, colours: dict[str, Float[Tensor, "3"]]) -> None:
    """Write names below a picture, each on its colour."""
    for name, colour in colours.items():
        rgb = tuple(colour.clamp(0, 1).tolist())
        box = {"facecolor": rgb, "edgecolor": "gray", "pad": 2, "linewidth": 0.5}
        text = "black" if float(np.dot(rgb, [0.3, 0.6, 0.1])) > 0.5 else "white"
        axes.text(left + 0.04, top + 0.08, name, va="top", fontsize=TEXT, color=text, bbox=box)
        left += 0.075 * len(name) + 0.12


def _draw_rows(
    figure: Figure,
    top: float,
    depths: Float[Tensor, "sample"],
    visibility: Float[Tensor, "view sample"],
    hits: Float[Tensor, "sample"],
    mask: Bool[Tensor, "view sample"] | None,
    masked_hits: Float[Tensor, "sample"] | None,
    coarse_positions: Int64[Tensor, "coarse_sample"] | None,
    distances: Float[Tensor, "coarse_sample"] | None,
    shown: str = "visibility",
) -> None:
    """Draw rows below each other from `top` inches on; they share the axis of the samples."""

    def row(title: str, views: int | None) -> Axes:
        nonlocal top
        height = _height_of_row(views)
        axes = _place(figure, LEFT, top + ABOVE_ROW, WIDTH - LEFT - BESIDE, height)
        top += ABOVE_ROW + height
        axes.set_title(title, fontsize=TEXT, loc="left")
        axes.set(xlim=(-0.5, len(depths) - 0.5), xticks=[])
        axes.tick_params(labelsize=TEXT)
        return axes

    said = "visibility of each sample in each view" if shown == "visibility" else "weight of each view at each sample"
    axes = row(f"{said} (dark: 1)", len(visibility))
    _draw_by_view(axes, visibility.cpu().numpy(), SEEN)
    peak = int(hits.argmax())
    axes = row(f"rendered hit probability: {hits.sum():.2f} in all, most at z = {depths[peak]:.2f}", None)
    edges = np.arange(len(depths) + 1) - 0.5
    axes.stairs(hits.cpu(), edges, fill=True, color=UNMASKED, label="as it is")
    if masked_hits is not None:
        axes.stairs(masked_hits.cpu(), edges, color=MASKED, label="masked")
        beside = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "borderaxespad": 0.2}
        axes.legend(fontsize=TEXT, handlelength=0.8, frameon=False, **beside)
    axes.set(ylim=(0, max(1e-3, 1.05 * float(hits.max()))))
    if mask is not None:
        samples = int(mask.any(dim=0).sum())
        title = f"masked (dark): {samples} of {len(depths)} samples in one or more views, {mask.float().mean():.0%} of"
        axes = row(f"{title} all features", len(mask))
        _draw_by_view(axes, mask.cpu().numpy(), HIDDEN)
    if distances is not None:
        axes = row(f"distance of prediction and target: {distances.mean():.2f} on average (dark: masked there)", None)
        _draw_distances(axes, mask, coarse_positions, distances)
    shown = np.linspace(0, len(depths) - 1, min(len(depths), 8)).round().astype(int)
    axes.set_xticks(shown, [f"{number}\nz={depths[number]:.2f}" for number in shown])
    axes.set_xlabel("sample of the fine pass, and its z-depth [scene units]", fontsize=TEXT)


def _draw_distances(
    axes: Axes,
    mask: Bool[Tensor, "view sample"],
    coarse_positions: Int64[Tensor, "coarse_sample"],
    distances: Float[Tensor, "coarse_sample"],
) -> None:
    hidden = mask.any(dim=0)[coarse_positions].cpu().numpy()
    places, values = coarse_positions.cpu().numpy(), distances.cpu().numpy()
    for chosen, colour in ((~hidden, DISTANCE), (hidden, DISTANCE_MASKED)):
        axes.vlines(places[chosen], 0, values[chosen], colors=colour, linewidth=8)
    axes.set(ylim=(0, max(0.1, 1.05 * float(values.max()))))


def _draw_by_view(axes: Axes, values: np.ndarray, colours: str) -> None:
    axes.imshow(values, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(values)))
    axes.set_ylabel("view", fontsize=TEXT)
