"""The plan: every arm differs from the paper's in what it says alone, and what compares has as many steps."""

import re
from itertools import product
from pathlib import Path

import pytest

from maskrf_core.datasets.batches.scene_views import expand_scene_names
from maskrf_core.datasets.readers.procedural import KEPT_BACK
from maskrf_core.runs.run import differing_settings
from maskrf_core.settings.config import load_config
from maskrf_core.training.preflight import check_masking
from maskrf_core.workbook.experiments.study import __main__ as study
from maskrf_core.workbook.experiments.study.plan import ARMS, PAPER, UNMASKED, likeness, plan, planned_steps


@pytest.fixture(scope="module")
def points():
    return plan(Path("runs"), None, {})


def of(points, arm: str, seed: int = 0):
    (point,) = [point for point in points if (point.arm.name, point.seed) == (arm, seed)]
    return point


def test_the_pilot_comes_first_and_then_seed_after_seed(points):
    main = [point for point in points if point.arm.group == "main"]
    assert {(point.arm.name, point.seed) for point in main[:8]} == set(product([UNMASKED, PAPER], range(4)))
    assert [point.seed for point in main[8:]] == sorted(point.seed for point in main[8:])
    assert {point.seed for point in main} == set(range(8))
    assert {point.seed for point in points if point.arm.group == "factors"} == set(range(5))
    assert len({point.folder for point in points}) == len(points)


@pytest.mark.parametrize("arm", [arm.name for arm in ARMS])
def test_an_arm_differs_from_the_papers_in_its_own_settings_alone(points, arm: str):
    ours, paper = (of(points, name).pretraining[1] for name in (arm, PAPER))
    asked = of(points, arm).arm.settings
    assert differing_settings(ours, paper).keys() == (set() if arm == PAPER else set(asked))
    check_masking(ours)


@pytest.mark.parametrize("arm", [arm.name for arm in ARMS])
def test_all_arms_are_finetuned_alike(points, arm: str):
    ours, paper = ({part.about["steps"]: part.config for part in of(points, name).parts} for name in (arm, PAPER))
    whole = max(paper)
    assert differing_settings(ours[whole], paper[whole]).keys() == (
        set() if arm == PAPER else {"training.initial_weights"}
    )


def test_the_unmasked_arm_goes_on_for_the_time_that_masks_cost(points):
    steps = [part.about["steps"] for part in of(points, UNMASKED).parts if part.about["train scenes"] == 60]
    assert steps == [100, 300, 1000, 1007]


def test_parts_of_one_run_are_counted_once(points):
    assert planned_steps([of(points, UNMASKED)]) == 500 + 1007 + 300 + 300


def test_no_scene_is_in_two_of_the_sets():
    config = load_config("pretrain", "study")
    tested = expand_scene_names(config.evaluation.test_scenes)
    train, validation, test = map(set, (config.data.train_scenes, config.data.validation_scenes, tested))
    assert (len(train), len(validation), len(test)) == (60, 12, 24)
    assert not train & validation
    assert not (train | validation) & test
    assert sorted(map(likeness, test)) == ["like"] * 12 + ["unlike"] * 12
    made = [int(name.rpartition("_")[2]) for name in test if not name.startswith("demo")]
    assert all(number in KEPT_BACK for number in made)
    few = config.data.train_scenes[:4]
    assert sorted(name.split("/")[1].split("_")[0] for name in few) == ["objects"] * 2 + ["tables"] * 2


def test_parts_are_disjoint_and_whole(capsys, tmp_path):
    def listed(*options: str) -> int:
        paths = ["--folder", str(tmp_path), "--table", str(tmp_path / "rows.csv"), "--data-root", str(tmp_path)]
        assert study.main(["--plan", *paths, *options]) == 0
        return int(re.search(r"(\d+) points", capsys.readouterr().out)[1])

    assert listed() == 107
    assert sum(listed("--part", f"{k}/8") for k in range(8)) == 107


@pytest.mark.parametrize("part", ["8/8", "-1/8", "1", "a/b", "0/0"])
def test_a_part_that_is_none(part: str, capsys):
    with pytest.raises(SystemExit):
        study.main(["--plan", f"--part={part}"])
    assert "is no part such as 0/8" in capsys.readouterr().err
