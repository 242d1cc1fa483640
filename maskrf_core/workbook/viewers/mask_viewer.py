"""A query rendered with more and more masked, under a slider."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import ipywidgets
from IPython.display import HTML, Image

from maskrf_core.support.progress import in_watched_notebook
from maskrf_core.workbook.experiments.masked_pictures import FEW_RATIOS, RATIOS, MaskedPictures, masked_pictures
from maskrf_core.workbook.experiments.ray_inspection import Inspection
from maskrf_core.workbook.figures.masked_views import masked_at, masked_strip
from maskrf_core.workbook.viewers.live_pictures import live_or_still, moving_picture, quick_png_of

FIRST_RATIO = 0.5


def masked_unmasked_truth(
    inspection: Inspection, names: Sequence[str], path: Path, *, strategy: str = "ray_and_view", seed: int = 0
) -> Image | HTML:
    """Show a small picture of the query, as these renderers make it while features are masked, with truth and error.

    If a person watches, a slider goes from nothing to 0.9; a page has a strip of three.
    """
    ratios = RATIOS if in_watched_notebook() else FEW_RATIOS
    found = masked_pictures(inspection, names, ratios, strategy=strategy, seed=seed)
    return live_or_still(lambda: _slider(found), masked_strip(found, FEW_RATIOS), path)


def _slider(found: MaskedPictures) -> ipywidgets.Widget:
    options = [(f"{ratio:.1f}", ratio) for ratio in RATIOS]
    ratio = ipywidgets.SelectionSlider(options=options, value=FIRST_RATIO, description="mask ratio")
    page = moving_picture()
    drawn = lru_cache(None)(lambda ratio: quick_png_of(masked_at(found, ratio)))

    def draw(_change=None) -> None:
        page.value = drawn(ratio.value)

    ratio.observe(draw, names="value")
    draw()
    return ipywidgets.VBox([ratio, page])
