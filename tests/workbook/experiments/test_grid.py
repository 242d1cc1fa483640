"""The points of a grid: what they are, what they share, and where they are kept."""

import pytest

from maskrf_core.support.errors import SettingsError
from maskrf_core.training.schedules import masking_schedule
from maskrf_core.workbook.experiments import grid
from maskrf_core.workbook.parameters import AblationParameters

pytestmark = pytest.mark.usefixtures("smoke")


def planned(tmp_path, **asked):
    return grid.plan(AblationParameters(runs_root=str(tmp_path / "runs"), pretrain_steps=3, finetune_steps=1, **asked))


def test_both_stages_of_every_ratio_are_alike_but_for_the_ratio(tmp_path):
    points = planned(tmp_path, mask_ratios="0.5, 0")
    assert [point.mask_ratio for point in points] == [0, 0.5]
    assert [point.folder.name for point in points] == ["ratio=0-seed=0-steps=3+1", "ratio=0.5-seed=0-steps=3+1"]
    for point in points:
        pretraining, finetuning = point.configs
        assert pretraining.masking.mask_ratio == point.mask_ratio
        schedule = masking_schedule(pretraining)
        assert (schedule.start, schedule.warmup) == (1, 1)  # a third of 3 steps
        assert point.steps == (3, 1)
        assert finetuning.training.initial_weights == str(point.pretrained.last_checkpoint)
        assert finetuning.evaluation.test_scenes[0] not in finetuning.data.validation_scenes
    assert not (tmp_path / "runs").exists()


def test_strategies_share_the_point_that_masks_nothing(tmp_path):
    asked = {"mask_ratios": "0, 0.5", "strategies": "block, ray_and_view", "seeds": "4, 2"}
    points = planned(tmp_path, **asked)
    assert [(point.mask_ratio, point.strategy, point.seed) for point in points] == [
        (ratio, strategy, seed)
        for seed in (4, 2)
        for ratio, strategy in [(0, "none"), (0.5, "block"), (0.5, "ray_and_view")]
    ]
    assert points[1].name == "ratio 0.5, block, seed 4"
    assert points[1].configs[0].masking.strategy == "block"
    assert points[0].configs[0].masking.strategy == "ray_and_view"
    assert {config.training.seed for config in points[0].configs} == {4}
    alone = planned(tmp_path, mask_ratios="0, 0.5", seeds="2")
    assert alone == [points[3], points[5]]  # a wider grid holds the narrower one's runs


def test_every_varied_setting_is_in_both_stages_and_masking_in_one(tmp_path):
    vary = "data.rays=[20, 30], masking.weight=[0.1, 0.2]"
    points = planned(tmp_path, mask_ratios="0, 0.5", vary=vary)
    assert [(point.strategy, *point.varied.values()) for point in points] == [
        ("none", 20), ("ray_and_view", 20, 0.1), ("ray_and_view", 20, 0.2),
        ("none", 30), ("ray_and_view", 30, 0.1), ("ray_and_view", 30, 0.2),
    ]  # fmt: skip
    pretraining, finetuning = points[2].configs
    assert (pretraining.data.rays, finetuning.data.rays, pretraining.masking.weight) == (20, 20, 0.2)
    assert finetuning.masking.weight == 0  # as in finetune.yaml
    assert points[2].folder.name == "ratio=0.5-seed=0-steps=3+1-data.rays=20,masking.weight=0.2"


def test_a_ratio_from_0_up_masks(tmp_path):
    (point,) = planned(tmp_path, mask_ratios="0", strategies="block", overrides="masking.projector=false",
                       vary="masking.largest_mask_ratio=[0.9]")  # fmt: skip
    assert point.strategy == "block"
    assert point.configs[0].masking.masks


def test_a_ratio_that_would_mask_nothing_stops_the_grid_before_it_begins(tmp_path):
    with pytest.raises(SettingsError, match=r"strategy=view, a mask ratio of 0\.3 and data\.working_views=3"):
        planned(tmp_path, mask_ratios="0, 0.3, 0.7", strategies="ray, view")
    assert not (tmp_path / "runs").exists()


def test_steps_default_to_a_quarter(monkeypatch):
    monkeypatch.delenv("MASKRF_SMOKE")
    parameters = AblationParameters(finetune_steps=9)
    assert grid.grid_steps(parameters) == (parameters.config("pretrain").training.steps // 4, 9)


def test_overview_says_what_is_to_do(tmp_path):
    points = planned(tmp_path, mask_ratios="0, 0.5")
    table = grid.overview(points)
    assert list(table.columns) == ["mask_ratio", "strategy", "seed", "pretraining", "finetuning", "state"]
    assert table.iloc[1].to_list() == [0.5, "ray_and_view", 0, "0 of 3 steps", "0 of 1 steps", "to do"]


def test_aggregators_are_varied_in_both_stages(tmp_path):
    points = planned(tmp_path, mask_ratios="0, 0.5", vary="model.aggregator=[neuray, ibrnet, nerformer]")
    assert len(points) == 6
    for point in points:
        assert {config.model.aggregator for config in point.configs} == set(point.varied.values())
    with pytest.raises(SettingsError, match="did you mean 'ibrnet'"):
        planned(tmp_path, vary="model.aggregator=[ibrnett]")
