"""Figures can be read: no letter below 9 points, nothing cut off, legends beside what is drawn."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from maskrf_core.workbook.experiments.grid_statistics import differences, finding, summary
from maskrf_core.workbook.experiments.measurements import Comparison, Growth
from maskrf_core.workbook.figures import camera_pictures, panels, plots
from maskrf_core.workbook.figures.paired_differences import difference_curves

LONG = "masked-pretrained, then finetuned on many scenes"
PHOTOGRAPH = np.full((96, 96, 3), 100, np.uint8)


def metrics(name="train", column="colour_fine"):
    steps = np.arange(1, 6)
    return pd.DataFrame({"step": steps, "phase": name, column: 1 / steps, "feature_alignment": 0.5})


def curves():
    return plots.loss_curves(metrics(), alignment_from=2)


def agreement():
    return plots.agreement_curves(metrics().assign(chance_alignment=0.7), 2)


def colours():
    return plots.colour_curves({LONG: (metrics(), 5), "from scratch": (metrics(), 0)})


def validation():
    rows = metrics("validation", "fine_psnr")
    return plots.validation_curves({LONG: (rows, 5), "masked pretraining": (rows, 0), "from scratch": (rows, 0)})


def ratios():
    rows = [(ratio, "none" if ratio == 0 else "ray_and_view", seed) for ratio in (0.0, 0.5, 0.75) for seed in range(3)]
    scores = pd.DataFrame(rows, columns=["mask_ratio", "strategy", "seed"]).assign(
        psnr=20.0, ssim=0.5, steps=9, wall_seconds=1.0, peak_memory_mib=1.0, gpu_peak_memory_mib=None
    )
    means = summary(scores)
    return difference_curves(scores.assign(difference=differences(scores)), means, finding(means))


def methods():
    return plots.method_bars(pd.DataFrame({"psnr": [20.0, 24.0], "ssim": [0.5, 0.7]}, index=["copy", LONG]))


def speed():
    return plots.ratio_bars({LONG * 2: Comparison.of("s", [1.0, 1.0], [2.0, 3.0])})


def growth():
    grown = {"rays": Growth.of({1: [2.0], 2: [4.0], 4: [8.0]}), "views": Growth.of({1: [2.0], 2: [3.0], 4: [6.0]})}
    return plots.growth_curves({"rendering": grown, "training": grown})


def renders():
    row = dict.fromkeys(panels.KINDS, PHOTOGRAPH)
    return panels.render_rows({LONG: row, "b": row}, f"{LONG}: 18.74 dB; {LONG}, but from scratch: 18.85 dB; " * 2)


def sheet():
    return panels.contact_sheet({f"demo/validation_{n:02}": PHOTOGRAPH for n in range(12)}, "12 scenes")


def masks():
    mask = np.zeros((5, 24), bool)
    mask[:2, ::2] = True
    return panels.masks_beside_each_other(dict.fromkeys(("ray_and_view", "coherent_regions", "whole_views"), mask))


def cameras():
    K = np.tile(np.array([[50.0, 0, 4.5], [0, 50, 3.5], [0, 0, 1]]), (20, 1, 1))
    w2c = np.tile(np.c_[np.eye(3), np.zeros(3)], (20, 1, 1))
    w2c[:, 0, 3] = -np.arange(20)
    choice = camera_pictures.ShownChoice(3, {4, 5}, "nearest_looking")
    return camera_pictures.camera_positions(K, w2c, np.array([[1.0, 4.0]] * 20), (8, 10), {3, 9}, choice)


@pytest.mark.parametrize(
    "draw",
    [curves, agreement, colours, validation, ratios, methods, speed, growth, renders, sheet, masks, cameras],
    ids=lambda draw: draw.__name__,
)
def test_everything_can_be_read(draw):
    figure = draw()
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 9
    titles = [figure._suptitle, *(axes.title for axes in figure.axes)]
    boxes = [title.get_window_extent() for title in titles if title is not None and title.get_text()]
    legends = [legend for axes in figure.axes if (legend := axes.get_legend())] + figure.legends
    for box in [*boxes, *(legend.get_window_extent() for legend in legends)]:
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 - 1 <= box.y0
        assert box.y1 <= figure.bbox.y1 + 1
    drawn = [axes.get_window_extent() for axes in figure.axes]
    for legend in legends:
        assert not any(legend.get_window_extent().padded(-3).overlaps(box) for box in drawn), "a legend hides curves"
    for one, other in pairwise(boxes):
        assert not one.overlaps(other), "titles overlap"
