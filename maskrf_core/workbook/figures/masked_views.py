"""Draw a query as it is rendered under masks, beside the truth and the error."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrf_core.workbook.experiments.masked_pictures import MaskedPictures
from maskrf_core.workbook.figures import TEXT, draw_picture, new_figure

WIDTH = 1.45  # inches of a picture
LARGEST_ERROR = 0.5  # mean over RGB that is drawn white


def masked_strip(found: MaskedPictures, ratios: Sequence[float]) -> Figure:
    """Draw the picture at these ratios, and its error below: two rows for each renderer, the truth on the left."""
    names = list(found.pictures)
    title = f"{found.query_id}, rendered with a share of the fine samples masked"
    figure, grid = _grid(found, 2 * len(names), 1 + len(ratios), title)
    for row, name in enumerate(names):
        _draw_truth(grid[2 * row, 0], found, name)
        grid[2 * row + 1, 0].axis("off")
        for (top, bottom), ratio in zip(grid[2 * row : 2 * row + 2, 1:].T, ratios, strict=True):
            _draw_rendered(top, bottom, found, name, ratio)
    return figure


def masked_at(found: MaskedPictures, ratio: float) -> Figure:
    """Draw truth, picture and error at one ratio, a row for each renderer."""
    figure, grid = _grid(found, len(found.pictures), 3, f"{ratio:.0%} of the fine samples masked")
    for axes, name in zip(grid, found.pictures, strict=True):
        _draw_truth(axes[0], found, name)
        _draw_rendered(axes[1], axes[2], found, name, ratio)
    return figure


def _grid(found: MaskedPictures, rows: int, columns: int, title: str) -> tuple[Figure, np.ndarray]:
    height, width, _ = found.truth.shape
    return new_figure(WIDTH * columns + 0.3, (WIDTH * height / width + 0.25) * rows + 0.4, rows, columns, title)


def _draw_truth(axes: Axes, found: MaskedPictures, name: str) -> None:
    draw_picture(axes, found.truth, "truth")
    axes.set_ylabel(name, fontsize=TEXT)


def _draw_rendered(picture: Axes, error: Axes, found: MaskedPictures, name: str, ratio: float) -> None:
    rendered = found.pictures[name][ratio]
    draw_picture(picture, rendered, f"{ratio:.0%}: {found.psnr(name, ratio):.1f} dB")
    difference = np.abs(rendered - found.truth).mean(axis=2)
    draw_picture(error, difference, f"|error| {difference.mean():.3f}", cmap="magma", vmin=0, vmax=LARGEST_ERROR)
