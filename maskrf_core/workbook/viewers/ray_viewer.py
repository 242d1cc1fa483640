"""Click a pixel of the query: where its ray goes in the reference views, which made its colour, what a mask changes."""

from html import escape
from pathlib import Path

import cv2
import ipyevents
import ipywidgets
import numpy as np
from IPython.display import HTML, Image
from matplotlib.figure import Figure

from maskrf_core.model.masking.strategies import STRATEGIES
from maskrf_core.support.errors import DatasetError, MaskrfError
from maskrf_core.workbook.experiments.epipolar_geometry import strong_corner
from maskrf_core.workbook.experiments.ray_inspection import Inspection
from maskrf_core.workbook.figures.ray_pictures import ray_picture
from maskrf_core.workbook.viewers.live_pictures import live_or_still, moving_picture, quick_png_of

SHOWN_SIDE = 260  # pixels on the screen of the picture to click
CROSS = (255, 0, 0)


def inspect_rays(
    inspection: Inspection,
    path: Path,
    *,
    xy: tuple[float, float] | None = None,
    mask_ratio: float = 0.5,
    strategy: str = "ray_and_view",
) -> Image | HTML:
    """Show the ray of a pixel (x, y), or of a corner in the picture, by the last of the renderers.

    If a person watches, a click goes to another pixel; renderer, mask ratio, strategy and seed are there to choose.

    Raises:
        DatasetError: the pixel is not in the picture.
    """
    name = list(inspection.renderers)[-1]
    xy = pixel_of(inspection, name, xy)
    still = _picture(inspection, name, xy, mask_ratio=mask_ratio, strategy=strategy)
    return live_or_still(lambda: RayInspector(inspection, name, xy, mask_ratio, strategy).widget, still, path)


def pixel_of(inspection: Inspection, name: str, xy: tuple[float, float] | None) -> tuple[float, float]:
    """Return the pixel that is asked for, or a strong corner of the foreground."""
    query = inspection.encoded(name)[0].query
    height, width = query.image_size
    if xy is None:
        return strong_corner(_bytes(query.images[0]), query.masks[0].cpu().numpy())
    if not (-0.5 <= xy[0] <= width - 0.5 and -0.5 <= xy[1] <= height - 0.5):
        raise DatasetError(f"pixel {xy}: {inspection.query_id} is {width}×{height} pixels. Give x, y inside.")
    return xy


def _picture(inspection: Inspection, name: str, xy: tuple[float, float], **masking: float | int | str) -> Figure:
    batch, _ = inspection.encoded(name)
    return ray_picture(batch, xy, inspection.truth(name, xy), inspection.look(name, xy, **masking))


def _bytes(image) -> np.ndarray:
    return np.ascontiguousarray((image.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8))


class RayInspector:
    """The widget: the query to click, knobs beside it, and the ray below."""

    def __init__(self, inspection: Inspection, name: str, xy: tuple[float, float], mask_ratio: float, strategy: str):
        self.inspection = inspection
        self.photograph = _bytes(inspection.encoded(name)[0].query.images[0])
        height, width = self.photograph.shape[:2]
        slider = {"continuous_update": False}
        self.x, self.y = (
            ipywidgets.IntSlider(min(max(round(value), 0), size - 1), 0, size - 1, description=axis, **slider)
            for axis, value, size in zip("xy", xy, (width, height), strict=True)
        )
        self.renderer = ipywidgets.Dropdown(options=list(inspection.renderers), value=name, description="renderer")
        self.ratio = ipywidgets.FloatSlider(mask_ratio, min=0, max=0.95, step=0.05, description="mask ratio", **slider)
        strategies = list(dict.fromkeys([*STRATEGIES, strategy]))  # or a function of one's own
        self.strategy = ipywidgets.Dropdown(options=strategies, value=strategy, description="strategy")
        self.seed = ipywidgets.BoundedIntText(0, min=0, max=9999, description="seed")
        scale = SHOWN_SIDE / max(height, width)
        self.query = ipywidgets.Image(format="png", width=round(width * scale), height=round(height * scale))
        self.query.layout.flex = "0 0 auto"
        self.clicks = ipyevents.Event(source=self.query, watched_events=["click"])
        self.clicks.on_dom_event(self._clicked)
        self.fault = ipywidgets.HTML()
        self.ray = moving_picture()
        self.knobs = [self.x, self.y, self.renderer, self.ratio, self.strategy, self.seed]
        for knob in self.knobs:
            knob.observe(self._draw, names="value")
        self._draw()
        hint = ipywidgets.HTML("Click a pixel of the query, or move x and y.")
        beside = ipywidgets.VBox([hint, *self.knobs, self.fault])
        self.widget = ipywidgets.VBox([ipywidgets.HBox([self.query, beside]), self.ray])

    def _clicked(self, event: dict) -> None:
        """Go to the pixel that was clicked, and draw once."""
        height, width = self.photograph.shape[:2]
        x = int(event["relativeX"] / event["boundingRectWidth"] * width)
        y = int(event["relativeY"] / event["boundingRectHeight"] * height)
        for knob in (self.x, self.y):
            knob.unobserve(self._draw, names="value")
        self.x.value, self.y.value = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
        for knob in (self.x, self.y):
            knob.observe(self._draw, names="value")
        self._draw()

    def _draw(self, _change=None) -> None:
        xy = (float(self.x.value), float(self.y.value))
        marked = self.photograph.copy()
        cv2.drawMarker(
            marked, (self.x.value, self.y.value), CROSS, cv2.MARKER_CROSS, max(5, min(marked.shape[:2]) // 16)
        )
        self.query.value = cv2.imencode(".png", marked[..., ::-1])[1].tobytes()
        masking = {"mask_ratio": self.ratio.value, "strategy": self.strategy.value, "seed": self.seed.value}
        try:
            figure = _picture(self.inspection, self.renderer.value, xy, **masking)
        except MaskrfError as error:  # nobody would see it raised from here
            self.fault.value = escape(str(error))
        else:
            self.fault.value, self.ray.value = "", quick_png_of(figure)
