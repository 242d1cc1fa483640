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

DOTS_PER_INCH = 72
COLOURS = 256  # both are enough to look at, and keep a notebook of ten figures under 300 kB


def new_figure(width: float | int, height: float | int) -> Figure:
    """Return an empty figure of a size in inches, laid out so that nothing overlaps."""
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")


def show(figure: Figure, path: Path) -> Image:
    """Save the figure as PNG at `path` and return it for the page, with its title for those who cannot see it."""
    data = png_of(figure)
    write_atomically(path, lambda file: file.write(data))
    return Image(data=data, format="png", alt=title_of(figure))


def png_of(figure: Figure) -> bytes:
    """Return the figure as a small PNG."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    with Picture.open(drawn) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Picture.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()


def title_of(figure: Figure) -> str:
    """Return what the figure says it found."""
    return figure.get_suptitle() or next((axes.get_title() for axes in figure.axes if axes.get_title()), "")


def draw_picture(axes: Axes, picture: np.ndarray, title: str = "", size: int = 9, **options: Any) -> AxesImage:
    """Draw a picture under its title, without ticks: pixels are not measured by eye. `options` are of `imshow`."""
    axes.set_title(title, fontsize=size)
    axes.set(xticks=[], yticks=[])
    image = axes.imshow(picture, **options)
    axes.autoscale(False)  # whatever is drawn on it
    return image
