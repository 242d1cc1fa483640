"""Figures of masks, trainings and results."""

import numpy as np
import pandas as pd
import pytest

from maskrf_core.losses import TERMS
from maskrf_core.rendering.evaluation import RenderedView, write_pictures
from maskrf_core.workbook.figures import panels, plots


def metrics(losses, psnr):
    rows = [{"step": 10 * (n + 1), "phase": "train", "colour_fine": loss} for n, loss in enumerate(losses)]
    rows += [{"step": 10 * len(losses), "phase": "validation", "fine_psnr": psnr}]
    return pd.DataFrame(rows).reindex(columns=["step", "phase", "total", *TERMS, "learning_rate", "fine_psnr"])


def test_mask_is_drawn_as_view_by_sample_and_counted():
    mask = np.zeros((3, 8), bool)
    mask[0, [1, 5]] = mask[2, 5] = True
    figure = panels.mask_on_ray(mask, np.linspace(1, 2, 8))
    (axes,) = figure.axes
    assert np.array_equal(axes.images[0].get_array(), mask)
    assert axes.get_title().startswith("2 of 8 samples are masked")
    assert "12%" in axes.get_title()  # 3 of 24
    assert axes.get_ylabel() == "reference view"
    assert "z-depth [scene units]" in axes.get_xlabel()
    assert axes.get_xticklabels()[-1].get_text() == "7\nz=2.00"


def test_masks_stand_beside_each_other():
    some, all_of_one = np.zeros((2, 3, 8), bool)
    some[0, [1, 5]] = some[1, 5] = True
    all_of_one[1] = True
    named = {"a": some, "b": all_of_one, "none": np.zeros((3, 8), bool)}
    figure = panels.masks_beside_each_other(named)
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert titles[0] == "a: 2 of 8 samples are masked, each in 1 to 2 of 3 views: 12% of all features"
    assert titles[1] == "b: 8 of 8 samples are masked, each in 1 of 3 views: 33% of all features"
    assert titles[2:] == ["none: nothing is masked", ""]
    for axes, mask in zip(figure.axes, named.values(), strict=False):
        assert np.array_equal(axes.images[0].get_array(), mask)
    assert figure.get_suptitle() == "Masked on this ray: 0% to 33% of its features"


def test_loss_curves_draw_only_the_terms_that_were_logged():
    figure = plots.loss_curves(metrics([0.5, 0.25], 20.0), alignment_from=15)
    (axes,) = figure.axes
    curve, onset = axes.lines
    assert curve.get_label() == "colour fine"
    np.testing.assert_array_equal(curve.get_xydata(), [[10, 0.5], [20, 0.25]])
    assert list(onset.get_xdata()) == [15, 15]
    assert figure.get_suptitle() == "The fine colour loss goes from 0.500 to 0.250 in 20 steps"
    assert plots.loss_curves(metrics([0.5], 20.0)).get_suptitle() == "The fine colour loss is 0.500 after 10 steps"
    assert (axes.get_xlabel(), axes.get_yscale()) == ("step", "log")


def test_curves_of_runs_are_shifted_by_the_steps_before_them():
    runs = {"first": (metrics([0.5], 18.0), 0), "second": (metrics([0.4], 19.5), 10)}
    figure = plots.validation_curves(runs)
    (axes,) = figure.axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[10, 18.0]], [[20, 19.5]]]
    assert figure.get_suptitle() == "first: 18.00 dB; second: 19.50 dB"
    assert "[dB]" in axes.get_ylabel()
    figure = plots.colour_curves(runs)
    assert [line.get_xydata().tolist() for line in figure.axes[0].lines] == [[[10, 0.5]], [[20, 0.4]]]
    assert "0.4000 to 0.5000" in figure.get_suptitle()
    assert "second" not in figure.get_suptitle(), "single trainings have no order"


@pytest.fixture
def pictures(tmp_path):
    truth = np.zeros((8, 10, 3), np.float32)
    fine = truth.copy()
    fine[:, 5:, 0] = 1
    depth = np.full((8, 10), 2, np.float32)
    write_pictures(RenderedView("demo/x", "a/b", truth, truth, fine, depth, depth, (1.0, 4.0)), tmp_path)
    return panels.read_pictures(tmp_path, "demo/x", "a/b")


def test_pictures_come_back_in_their_kinds_and_colours(pictures):
    assert list(pictures) == list(panels.KINDS)
    assert pictures["truth"].max() == 0
    assert pictures["fine"][0, 9].tolist() == pictures["error"][0, 9].tolist() == [255, 0, 0]
    assert pictures["error"][0, 0].tolist() == [0, 0, 0]


def test_render_rows_stand_beside_the_truth(pictures):
    figure = panels.render_rows({"a method with a rather long name": pictures, "b": pictures}, "sharp")
    grid = np.array(figure.axes).reshape(2, 4)
    assert [axes.get_title() for axes in grid[0]] == ["truth", "render", "|error|", "depth (near: bright)"]
    assert np.array_equal(grid[1, 1].images[0].get_array(), pictures["fine"])
    assert grid[0, 0].get_ylabel() == "a method with a\nrather long name"
    assert figure.get_suptitle() == "sharp"


def test_method_bars_claim_no_order_of_single_trainings():
    summary = pd.DataFrame({"psnr": [20.0, 24.5, 24.0], "ssim": [0.5, 0.75, 0.8]}, index=["copy", "ours", "other"])
    figure = plots.method_bars(summary)
    left, right = figure.axes
    assert [bar.get_width() for bar in left.patches] == [20.0, 24.0, 24.5]
    assert [bar.get_width() for bar in right.patches] == [0.5, 0.8, 0.75]
    assert [label.get_text() for label in left.get_yticklabels()] == ["copy", "other", "ours"]
    assert "20.00 to 24.50 dB" in figure.get_suptitle()
    assert "ours" not in figure.get_suptitle()
    assert "[dB]" in left.get_xlabel()


def test_test_curve_goes_from_before_the_first_step_to_the_last():
    rows = [{"step": step, "phase": "test", "fine_psnr": 10.0 + step, "coarse_psnr": 9.0 + step} for step in (0, 5, 10)]
    figure = plots.test_curve(pd.DataFrame([*rows, {"step": 7, "phase": "train", "fine_psnr": np.nan}]))
    (axes,) = figure.axes
    fine, coarse = axes.lines
    np.testing.assert_array_equal(fine.get_xydata(), [[0, 10], [5, 15], [10, 20]])
    np.testing.assert_array_equal(coarse.get_ydata(), [9, 14, 19])
    assert figure.get_suptitle() == "From 10.00 dB to 20.00 dB in 10 steps"
    assert axes.get_ylabel() == "PSNR on its test views [dB]"
