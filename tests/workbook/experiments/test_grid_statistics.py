"""Means, intervals and paired differences, against what is computed by hand."""

import numpy as np
import pandas as pd
import pytest

from maskrf_core.support.errors import RunError
from maskrf_core.workbook.experiments import grid_statistics as statistics

T_2, T_1 = 4.302652729911275, 12.706204736432095  # 97.5 % of Student's t with 2 and 1 degrees of freedom


def points(*rows, **more):
    """Scores of (ratio, strategy, seed, psnr)."""
    columns = ["mask_ratio", "strategy", "seed", "psnr"]
    costs = {
        "steps": 60,
        "ssim": 0.5,
        "wall_seconds": 90.0,
        "peak_memory_mib": 512.0,
        "gpu_peak_memory_mib": None,
    }
    return pd.DataFrame([dict(zip(columns, row, strict=True)) for row in rows]).assign(**(costs | more))


@pytest.fixture
def three_seeds():
    unmasked = [(0.0, "none", seed, psnr) for seed, psnr in enumerate([20.0, 21.0, 25.0])]
    return points(*unmasked, *[(0.5, "ray_and_view", seed, psnr) for seed, psnr in enumerate([21.0, 22.0, 28.0])])


def test_mean_and_interval_by_hand():
    found = statistics.estimate([1.0, 2.0, 6.0])
    assert found.mean == 3
    assert found.half == pytest.approx(T_2 * np.sqrt(7) / np.sqrt(3))  # variance (4 + 1 + 9) / 2
    assert found.n == 3


def test_one_value_has_no_interval():
    found = statistics.estimate([5.0])
    assert (found.mean, found.n) == (5, 1)
    assert np.isnan(found.half)
    assert statistics.estimate([]).n == 0


def test_each_is_paired_with_the_unmasked_run_of_its_seed(three_seeds):
    shuffled = three_seeds.sample(frac=1, random_state=3)
    assert statistics.differences(shuffled).dropna().sort_index().to_list() == [1, 1, 3]
    table = statistics.summary(three_seeds)
    assert list(table["mask_ratio"]) == [0, 0.5]
    gained = table["difference"][1]
    assert gained.mean == pytest.approx(5 / 3)
    assert gained.half == pytest.approx(T_2 * np.sqrt(4 / 3) / np.sqrt(3))  # variance (4/9 + 4/9 + 16/9) / 2
    assert table["difference"][0].n == 0
    assert table["psnr"][1].mean == pytest.approx(71 / 3)


def test_a_seed_without_its_unmasked_run_has_no_part_in_the_difference(three_seeds):
    table = statistics.summary(three_seeds[1:])
    assert table["difference"][1].n == 2
    assert table["difference"][1].half == pytest.approx(T_1 * np.sqrt(2) / np.sqrt(2))
    assert table["psnr"][1].n == 3


def test_a_scene_is_paired_with_the_same_scene_of_the_same_seed():
    by_scene = [{"a": 10.0, "b": 30.0}, {"a": 12.0, "b": 30.5}, {"b": 41.0, "a": 21.0}, {"a": 20.0, "b": 40.0}]
    rows = (0.0, "none", 0, 20.0), (0.5, "ray", 0, 21.25), (0.0, "none", 1, 31.0), (0.5, "ray", 1, 30.0)
    found = statistics.differences_by_scene(points(*rows, psnr_by_scene=by_scene)).dropna(subset="difference")
    assert found[["seed", "scene", "difference"]].to_numpy().tolist() == [
        [0, "a", 2], [0, "b", 0.5], [1, "a", -1], [1, "b", -1],
    ]  # fmt: skip


def test_where_one_log_does_not_tell_scenes_apart_a_row_is_a_point():
    rows = (0.0, "none", 0, 20.0), (0.5, "ray", 0, 21.0)
    found = statistics.differences_by_scene(points(*rows, psnr_by_scene=[{"a": 20.0}, {}]))
    assert found["difference"].to_list()[1:] == [1]


def test_unequal_steps_are_refused(three_seeds):
    three_seeds.loc[4, "steps"] = 90
    with pytest.raises(RunError, match=r"ratio 0\.5, seed 1: had 90 steps in all, without masks it were 60"):
        statistics.summary(three_seeds)


def test_partners_have_the_same_settings_but_for_those_of_masking():
    scores = points(
        (0.0, "none", 0, 20.0),
        (0.0, "none", 0, 30.0),
        (0.5, "block", 0, 21.0),
        (0.5, "block", 0, 22.0),
        (0.5, "block", 0, 33.0),
        **{"data.rays": [8, 16, 8, 8, 16], "masking.weight": [None, None, 0.1, 0.2, 0.1]},
    )
    assert statistics.differences(scores).to_list()[2:] == [1, 2, 3]
    table = statistics.summary(scores)
    assert len(table) == 5
    assert statistics.varied_columns(scores) == ["data.rays", "masking.weight"]


def test_table_for_people(three_seeds):
    shown = statistics.formatted(statistics.summary(three_seeds))
    assert shown["against no mask [dB]"].to_list() == ["n/a", "+1.67 ± 2.87"]
    assert shown["PSNR [dB] ↑"][0] == f"22.00 ± {T_2 * np.sqrt(7) / np.sqrt(3):.2f}"
    assert shown["n"].to_list() == [3, 3]
    assert shown.loc[1, ["time [min]", "memory [GiB]"]].to_list() == ["1.50", "0.50"]
    assert "GPU memory [GiB]" not in shown
    on_gpu = statistics.formatted(statistics.summary(three_seeds.assign(gpu_peak_memory_mib=2048.0)))
    assert set(on_gpu["GPU memory [GiB]"]) == {"2.00"}
    alone = statistics.formatted(statistics.summary(three_seeds[three_seeds["seed"] == 0]))
    assert alone["against no mask [dB]"].to_list() == ["n/a", "+1.00 ± n/a"]


def test_what_is_recorded_is_plain(three_seeds):
    rows = statistics.plain(statistics.summary(three_seeds[three_seeds["seed"] == 0]))
    assert rows[1]["difference"] == {"mean": 1.0, "interval": None, "n": 1}
    assert rows[1]["gpu_peak_memory_mib"] is None
    assert rows[1]["mask_ratio"] == 0.5


def test_nothing_is_claimed_that_the_seeds_leave_open(three_seeds):
    assert statistics.finding(statistics.summary(three_seeds)) == (
        "No gain or loss by masking can be told: every interval of 3 seeds includes 0"
    )
    alone = statistics.summary(three_seeds[three_seeds["seed"] == 0])
    assert statistics.finding(alone) == "No gain or loss by masking can be told: one seed has no interval"
    assert statistics.finding(alone[1:].assign(difference=[statistics.estimate([])])).startswith("Nothing to compare")
    three_seeds.loc[5, "psnr"] = 26.1  # gains of 1, 1 and 1.1
    half = T_2 * np.std([1, 1, 1.1], ddof=1) / np.sqrt(3)
    assert statistics.finding(statistics.summary(three_seeds)) == (
        f"Ratio 0.5 (ray_and_view) gains 1.03 ± {half:.2f} dB against no mask (3 seeds)"
    )
    three_seeds.loc[3:, "psnr"] = [19.0, 20.0, 23.9]
    assert "loses 1.03" in statistics.finding(statistics.summary(three_seeds))
