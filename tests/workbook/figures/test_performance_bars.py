"""Figures of speed: what is drawn, with which units, and what the titles find."""

import numpy as np

from maskrf_core.workbook.experiments.measurements import Arithmetic, Comparison, Growth
from maskrf_core.workbook.figures import plots as figures


def test_ratios_stand_in_order_with_their_spread():
    comparisons = {
        "first": Comparison.of("s", [1.0, 1.0, 1.0], [2.0, 3.0, 5.0]),
        "second": Comparison.of("MiB", [2.0], [1.0]),
    }
    figure = figures.ratio_bars(comparisons)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["second", "first"]
    assert [bar.get_width() for bar in axes.patches] == [0.5, 3.0]
    ends = np.array([segment[:, 0] for segment in axes.collections[0].get_segments()])
    np.testing.assert_allclose(ends, [[0.5, 0.5], [2, 5]])
    assert [text.get_text() for text in axes.texts] == ["0.50×", "3.00×"]
    assert list(axes.lines[-1].get_xdata()) == [1, 1]
    assert figure.get_suptitle() == "The straightforward way takes 0.5 to 3 times as much"


def test_the_ceiling_is_a_hundred_percent():
    products = {"matrix product, float32": [0.2], "matrix product, bfloat16": [1 / 60]}  # of 2 GFLOP
    measured = products | {"slow": [1.0], "fast": [1.0]}
    slow = Arithmetic.of(1.0, measured, "slow", "float32", 1000)
    fast = Arithmetic.of(30.0, measured, "fast", "bfloat16", 1000)
    figure = figures.ceiling_bars({"slow": slow, "fast": fast})
    (axes,) = figure.axes
    assert [round(bar.get_width(), 6) for bar in axes.patches] == [25, 10]
    assert axes.texts[0].get_text() == "30 of 120 GFLOP/s in bfloat16"
    assert axes.get_xlim() == (0, 100)
    assert "[%]" in axes.get_xlabel()
    assert figure.get_suptitle() == "At most 25 % of the ceiling: fast"


def test_growth_is_relative_on_logarithmic_axes_beside_slope_1():
    grown = {
        "rendering": {"rays": Growth.of({1: [2.0], 2: [4.0], 4: [8.0]})},
        "training": {"views": Growth.of({1: [1.0], 2: [4.0], 4: [16.0]})},
    }
    figure = figures.growth_curves(grown)
    left, right = figure.axes
    guide, rays = left.lines
    np.testing.assert_array_equal(guide.get_xydata(), [[1, 1], [2, 2], [4, 4]])
    np.testing.assert_array_equal(rays.get_xydata(), guide.get_xydata())
    np.testing.assert_array_equal(right.lines[1].get_ydata(), [1, 4, 16])
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    labels = [text.get_text() for text in right.get_legend().get_texts()]
    assert labels == ["as the quantity: exponent 1", "views: exponent 2.00"]
    assert (left.get_title(), right.get_title()) == ("rendering", "training")
    assert figure.get_suptitle() == "Largest exponent: 2.00 (views, training)"


def test_nothing_measured_is_said():
    assert figures.ratio_bars({}).get_suptitle() == "Nothing was compared"
    assert figures.ceiling_bars({}).get_suptitle() == "No operations were counted"
    assert figures.growth_curves({}).get_suptitle() == "No growth was measured"
