"""Figures of scenes, cameras, masks, trainings and results: axes, units, and a title that says the finding.

Every function returns a matplotlib `Figure` that belongs to nobody, and `show` saves it and puts it on the page.
"""

import io
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image as Picture

from maskrf_core.support.atomic_files import write_atomically

DOTS_PER_INCH = 144  # of the PNG, which a page shows at 96 dots per inch
COLOURS, COLOURS_OF_LINES = 80, 24  # with pictures and without: they keep a notebook of ten figures under 300 kB
TITLE, TEXT = 10, 9  # sizes in points: nothing is smaller than TEXT
LETTERS_PER_INCH, LEGEND_LETTERS = 11.5, 28  # of a title, and in a line of a legend
FEW_PIXELS = 160  # pictures up to this side are drawn pixel by pixel: sharp, and four times as small a file


def new_figure(
    width: float | int, height: float | int, rows: int = 1, columns: int = 1, title: str = "", **options: Any
) -> tuple[Figure, np.ndarray]:
    """Return a figure of a size in inches, in which nothing overlaps, and its axes by row and column.

    A title that is too long for one line goes on below. `options` are of `Figure.subplots`.
    """
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    if title:
        figure.suptitle(wrapped(title, width), fontsize=TITLE)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def wrapped(title: str, width: float | int) -> str:
    """Break the lines of a title that are wider than `width` inches."""
    return "\n".join(fill(line, int(LETTERS_PER_INCH * width)) for line in title.splitlines())


def legend_beside(axes: Axes, **options: Any) -> None:
    """Name what is drawn, right of the axes, where it hides nothing. `options` are of `Axes.legend`."""
    handles, labels = axes.get_legend_handles_labels()
    place = {"loc": "upper left", "bbox_to_anchor": (1, 1), "fontsize": TEXT} | options
    axes.legend(handles, [fill(label, LEGEND_LETTERS) for label in labels], **place)


def show(figure: Figure, path: Path) -> Image:
    """Save the figure as PNG at `path` and return it for the page, with its title or label for who cannot see it."""
    data = png_of(figure)
    write_atomically(path, lambda file: file.write(data))
    titles = [figure.get_suptitle(), figure.get_label(), *(axes.get_title() for axes in figure.axes)]
    title = next(filter(None, titles), "").replace("\n", " ")
    return Image(data=data, format="png", alt=title, width=round(96 * figure.get_figwidth()))


def png_of(figure: Figure) -> bytes:
    """Return the figure as a small PNG."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    colours = COLOURS if any(axes.images for axes in figure.axes) else COLOURS_OF_LINES
    with Picture.open(drawn) as picture:
        picture.convert("RGB").quantize(colours, kmeans=1, dither=Picture.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()


def draw_picture(axes: Axes, picture: np.ndarray, title: str = "", **options: Any) -> AxesImage:
    """Draw a picture under its title, without ticks: pixels are not measured by eye. `options` are of `imshow`."""
    axes.set_title(title, fontsize=TEXT)
    axes.set(xticks=[], yticks=[])
    interpolation = "nearest" if max(picture.shape[:2]) <= FEW_PIXELS else None
    image = axes.imshow(picture, **({"interpolation": interpolation} | options))
    axes.autoscale(False)  # whatever is drawn on it
    return image
