"""Figures of scenes, cameras, masks, trainings and results: axes, units, and a title that says the finding.

Every function returns a matplotlib `Figure` that belongs to nobody, and `show` saves it and puts it on the page.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image as Picture

from maskrf_core.support.atomic_files import write_atomically

DOTS_PER_INCH, COLOURS = 72, 256  # enough to look at; they keep a notebook of ten figures under 300 kB


def new_figure(
    width: float | int, height: float | int, rows: int = 1, columns: int = 1, title: str = "", **options: Any
) -> tuple[Figure, np.ndarray]:
    """Return a figure of a size in inches, in which nothing overlaps, and its axes by row and column.

    `options` are of `Figure.subplots`.
    """
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def show(figure: Figure, path: Path) -> Image:
    """Save the figure as PNG at `path` and return it for the page, with its title for those who cannot see it."""
    data = png_of(figure)
    write_atomically(path, lambda file: file.write(data))
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    return Image(data=data, format="png", alt=next(filter(None, titles), ""))


def png_of(figure: Figure) -> bytes:
    """Return the figure as a small PNG."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    with Picture.open(drawn) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Picture.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()


def draw_picture(axes: Axes, picture: np.ndarray, title: str = "", size: int = 9, **options: Any) -> AxesImage:
    """Draw a picture under its title, without ticks: pixels are not measured by eye. `options` are of `imshow`."""
    axes.set_title(title, fontsize=size)
    axes.set(xticks=[], yticks=[])
    image = axes.imshow(picture, **options)
    axes.autoscale(False)  # whatever is drawn on it
    return image
