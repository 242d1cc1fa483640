"""What all viewers share: a widget where a person watches, and the picture as it is kept in the notebook."""

import io
from collections.abc import Callable
from pathlib import Path

import ipywidgets
from IPython.display import HTML, Image, display
from matplotlib.figure import Figure

from maskrf_core.support.progress import in_watched_notebook
from maskrf_core.workbook.figures import show
from maskrf_core.workbook.figures.parts_of_pages import picture

SCREEN_DOTS = 100  # per inch of a picture that moves: more would take longer to draw and send


def live_or_still(widget: Callable[[], ipywidgets.Widget], figure: Figure, path: Path) -> Image | HTML:
    """Save the picture and return it; if a person watches, show the widget and fold the picture up below it.

    A widget is gone when its notebook is opened again, or kept as a page; the picture is not.
    """
    still = show(figure, path)
    if not in_watched_notebook():
        return still
    display(widget())
    kept = picture(still.data, still.alt)
    return HTML(f"<details><summary>The picture that the notebook keeps</summary>{kept}</details>")


def moving_picture() -> ipywidgets.Image:
    """Return a place for a picture, as large as that is, or as the page is wide.

    A picture that is displayed anew each time would be kept in the notebook each time.
    """
    return ipywidgets.Image(format="png", layout={"align_self": "flex-start", "max_width": "100%"})


def quick_png_of(figure: Figure) -> bytes:
    """Draw a figure for the screen, in a quarter of the time that a small file takes."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=SCREEN_DOTS, pil_kwargs={"compress_level": 1})
    return drawn.getvalue()
