"""The figure of paired differences shows a dot a seed, and an interval where there are several."""

import pandas as pd

from maskrf_core.runs.provenance import COSTS
from maskrf_core.workbook.experiments import grid_statistics as statistics
from maskrf_core.workbook.figures.paired_differences import difference_curves


def figure_of(psnrs: dict[tuple[float, str, int], float]):
    rows = [
        {"mask_ratio": ratio, "strategy": strategy, "seed": seed, "steps": 3, "psnr": psnr, "ssim": 0.5}
        for (ratio, strategy, seed), psnr in psnrs.items()
    ]
    scores = pd.DataFrame([row | dict.fromkeys(COSTS, 1.0) for row in rows])
    gained = scores.assign(difference=statistics.differences(scores))
    (axes,) = difference_curves(gained, statistics.summary(scores), "title").axes
    return axes, dict(zip(axes.get_legend_handles_labels()[1], axes.get_legend_handles_labels()[0], strict=True))


def test_dots_are_differences_of_the_same_seed_and_intervals_are_of_their_mean():
    axes, drawn = figure_of({
        (0.0, "none", 0): 10.0, (0.5, "ray", 0): 11.0, (0.0, "none", 1): 20.0, (0.5, "ray", 1): 23.0,
    })  # fmt: skip
    assert drawn["ray: one seed"].get_xydata().tolist() == [[0.5, 1], [0.5, 3]]
    (mean,) = drawn["ray: mean, 95 %"].lines[0].get_xydata().tolist()
    assert mean == [0.5, 2]
    assert axes.lines[0].get_ydata() == [0, 0]


def test_where_scenes_are_told_apart_a_dot_is_one_of_them():
    table = pd.DataFrame({"mask_ratio": 0.5, "strategy": "ray", "scene": ["a", "b"], "difference": [1.0, 2.0]})
    means = pd.DataFrame([{"mask_ratio": 0.5, "strategy": "ray", "difference": statistics.estimate([1.5])}])
    (axes,) = difference_curves(table, means, "title").axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert drawn["ray: one scene and seed"] == [1, 2]


def test_one_seed_has_a_dot_and_no_interval():
    _, drawn = figure_of({(0.0, "none", 0): 10.0, (0.5, "ray", 0): 11.0, (0.9, "view", 0): 9.0})
    assert set(drawn) == {"no mask, same seed", "ray: one seed", "view: one seed"}
