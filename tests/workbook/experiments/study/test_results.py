"""What the rows say: differences of the same seed and scene, found again in rows that were made with known ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskrf_core.support.errors import RunError
from maskrf_core.workbook.experiments.study import differences, results
from maskrf_core.workbook.experiments.study.plan import PAPER, UNMASKED, plan
from maskrf_core.workbook.experiments.study.rows import read_rows, score_column

SCENES = ["procedural_half/objects_9100", "procedural_half/tables_9100", "demo/test_00", "demo/test_01"]
EFFECT = {PAPER: 0.4, "ratio 0.75": -0.3, "target raw": 0.4}  # dB to no masks


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Rows of all parts of the plan: effects of scene, seed and arm, and noise that each row has alone."""
    generator, rows = np.random.default_rng(0), []
    of_seed, of_scene = generator.normal(20, 1, 8), generator.normal(0, 3, len(SCENES))
    for point in plan(Path("runs"), None, {}):
        for part in point.parts:
            mean = of_seed[point.seed] + of_scene + EFFECT.get(point.arm.name, 0) + generator.normal(0, 0.02, 4)
            scored = {score_column("psnr", 8, scene): value for scene, value in zip(SCENES, mean, strict=True)}
            cost = {"pretrain seconds": 100.0, "commit": "abc", "device": "cpu", "date": "2026-01-02T03:04:05+00:00"}
            rows.append(dict(part.about) | cost | scored)
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def found(table) -> pd.DataFrame:
    return differences.compared(table, draws=2000)


def test_differences_are_of_the_same_seed_and_scene(found):
    ratios = found[(found["question"] == differences.MAIN) & (found["steps"] == found["steps"].max())]
    means = ratios.groupby("arm")["difference"].mean()
    assert means["ratio 0.25"] == pytest.approx(0, abs=0.03)
    assert means[PAPER] == pytest.approx(0.4, abs=0.03)
    assert means["ratio 0.75"] == pytest.approx(-0.3, abs=0.03)
    assert set(ratios["seeds"]) == {8}
    assert set(zip(ratios["group"], ratios["scenes"], strict=True)) == {("like", 2), ("unlike", 2)}
    factors = found[found["question"] == differences.FACTORS].set_index("arm")["difference"]
    assert factors["target raw"].mean() == pytest.approx(0, abs=0.03), "factors are held against the paper's setting"
    assert factors["no EMA"].mean() == pytest.approx(-0.4, abs=0.03)


def test_every_question_of_the_plan_is_answered(found):
    assert list(found["question"].unique()) == [
        differences.MAIN,
        differences.TIME,
        differences.FEW,
        differences.FACTORS,
        differences.APART,
    ]
    assert sorted(found.loc[found["question"] == differences.FEW, "train scenes"].unique()) == [4, 12]
    assert found.loc[found["question"] == differences.MAIN, "steps"].nunique() == 3


def test_a_seed_that_one_arm_lacks_is_left_out_of_their_difference(table):
    kept = table[~((table["arm"] == PAPER) & (table["seed"] == 3))]
    main = differences.compared(kept, draws=100).query(f"question == '{differences.MAIN}' and arm == '{PAPER}'")
    assert set(main["seeds"]) == {7}


def test_a_table_that_is_not_finished_compares_the_same_steps(table):
    """The next seeds have begun, so that most rows are of few steps."""
    main = table[table["arm"].isin([PAPER, UNMASKED, "ratio 0.75"])]
    begun = main[(main["steps"] == 100) | (main["seed"] < 3)]
    found = differences.compared(begun, draws=100)
    assert found.loc[found["question"] == differences.MAIN, "steps"].max() == 1000
    assert set(found.loc[found["question"] == differences.TIME, "seeds"]) == {3}
    assert found.loc[found["seeds"] < 4, "tells"].isna().all()


def test_rows_beside_the_plan_take_nothing_away(table, found):
    longer = table[(table["arm"] == PAPER) & (table["steps"] == 1000)].head(2).assign(steps=4000)
    wider = table[(table["arm"] == UNMASKED) & (table["train scenes"] == 60)].head(2).assign(**{"train scenes": 100})
    more = differences.compared(pd.concat([table, longer, wider], ignore_index=True), draws=100)
    assert more["question"].value_counts().to_dict() == found["question"].value_counts().to_dict()


@pytest.mark.parametrize("other", [{"overrides": "data.rays=32"}, {"pretrain steps": 100}])
def test_rows_of_several_sizes_are_not_compared(table, other: dict):
    with pytest.raises(RunError, match="several sizes"):
        differences.compared(pd.concat([table, table.tail(1).assign(**other)], ignore_index=True))


def test_the_page_is_written_from_the_table_alone(table, tmp_path):
    path = tmp_path / "rows.csv"
    table.to_csv(path, index=False)
    assert results.main(["--table", str(path), "--docs", str(tmp_path)]) == 0
    page = (tmp_path / "study-results.md").read_text(encoding="utf-8")
    assert f"| {PAPER}, 1000 steps – {UNMASKED} | 8 | **+0.4" in page
    assert "of 18 intervals (PSNR, 8 views) 6 are above 0 and 6 are below 0;" in page
    assert "made by commit abc, cpu, 2026-01-02, by" in page
    assert "no masks 0.200 ·" in page
    assert {file.name for file in (tmp_path / "study").iterdir()} == {"differences.csv", "forest.png", "ratios.png"}


def test_no_rows_are_said(tmp_path, capsys):
    nothing = differences.compared(read_rows(tmp_path / "rows.csv"))
    assert nothing.empty
    results.ratio_curve(nothing), results.forest(nothing)  # as 02 draws them
    assert results.main(["--table", str(tmp_path / "rows.csv"), "--docs", str(tmp_path)]) == 1
    assert "make study" in capsys.readouterr().err
