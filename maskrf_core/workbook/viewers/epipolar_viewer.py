"""A point of one view and its epipolar lines in others, which sliders move."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import ipywidgets
import numpy as np
from IPython.display import HTML, Image
from jaxtyping import Float
from matplotlib.figure import Figure

from maskrf_core.datasets.scene import Scene
from maskrf_core.workbook.experiments.epipolar_geometry import epipolar_segment, point_of
from maskrf_core.workbook.experiments.preparation import nearest_views
from maskrf_core.workbook.figures import TEXT, TITLE, draw_picture, new_figure, wrapped
from maskrf_core.workbook.figures.camera_pictures import draw_epipolar_line
from maskrf_core.workbook.viewers.live_pictures import live_or_still, moving_picture, quick_png_of

SAMPLES, TICKS, NEIGHBOURS, POINT = 200, 5, 3, "red"
DepthMaps = Mapping[str, Float[np.ndarray, "height width"]]  # by view; 0 = unknown


def epipolar_check(
    scene: Scene, candidates: Sequence[str], point: str | None, depths: DepthMaps, path: Path
) -> Image | HTML:
    """Show the picture at `point` ("x, y", or a strong corner) of the middle view; sliders move it if a person watches.

    Raises:
        DatasetError: the point is not in the image.
    """
    here = candidates[len(candidates) // 2]
    xy = point_of(point, scene, here)
    asked = (scene, candidates, here, xy, depths)
    return live_or_still(lambda: _sliders(*asked), _epipolar_picture(*asked), path)


def _epipolar_picture(
    scene: Scene, candidates: Sequence[str], here: str, xy: tuple[float, float], depths: DepthMaps
) -> Figure:
    """Draw a pixel of one view, and its epipolar lines from near to far in the views nearest to it.

    If the pixel's depth is known, the point itself is marked too.
    """
    near, far = scene.depth_range(here)
    samples, ticks = (1 / np.linspace(1 / near, 1 / far, count) for count in (SAMPLES, TICKS))
    known = np.zeros(0)
    if here in depths:
        row, column = np.clip(np.round(xy[::-1]), 0, np.subtract(depths[here].shape, 1)).astype(int)
        known = np.array([depth for depth in [depths[here][row, column]] if depth > 0], float)
    others = nearest_views(scene, here, candidates, NEIGHBOURS)
    height, width = scene.image(here).shape[:2]
    figure, (grid,) = new_figure(2.1 * (1 + len(others)), 2.1 * height / width + 0.75, 1, 1 + len(others))
    draw_picture(grid[0], scene.image(here), f"{here}: the point")
    grid[0].plot(*xy, "+", color=POINT, markersize=12, markeredgewidth=2)
    crossed = 0
    for axes, other in zip(grid[1:], others, strict=True):
        line, marks, point = (epipolar_segment(scene, here, other, xy, at).pixels_xy for at in (samples, ticks, known))
        crossed += draw_epipolar_line(axes, scene.image(other), other, line, marks, ticks.tolist())
        axes.plot(*point.T, "o", color=POINT, markersize=8, markerfacecolor="none", markeredgewidth=1.5)
    depth = f"at its depth {known[0]:.3g} in the rings" if len(known) else "depth unknown"
    line = f"The line of ({xy[0]:.0f}, {xy[1]:.0f}) from near to far"
    title = wrapped(f"{line}: in {crossed} of {len(others)} neighbours; {depth}", figure.get_figwidth())
    figure.suptitle(title, fontsize=TITLE)
    figure.supxlabel(f"numbers on the lines: z-depth in {here} [scene units]", fontsize=TEXT)
    return figure


def _sliders(
    scene: Scene, candidates: Sequence[str], here: str, xy: tuple[float, float], depths: DepthMaps
) -> ipywidgets.Widget:
    view = ipywidgets.Dropdown(options=list(candidates), value=here, description="view")
    x, y = (
        ipywidgets.IntSlider(round(value), 0, size - 1, description=name, continuous_update=False)
        for name, value, size in zip("xy", xy, scene.image(here).shape[1::-1], strict=True)
    )
    page = moving_picture()

    def draw(_change=None) -> None:
        y.max, x.max = np.subtract(scene.image(view.value).shape[:2], 1).tolist()
        page.value = quick_png_of(
            _epipolar_picture(scene, candidates, view.value, (float(x.value), float(y.value)), depths)
        )

    for knob in (view, x, y):
        knob.observe(draw, names="value")
    draw()
    return ipywidgets.VBox([ipywidgets.HBox([view, x, y]), page])
