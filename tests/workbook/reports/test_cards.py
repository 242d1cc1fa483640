"""Cards of what is reported: from recorded numbers, by hand; and no page reports a score that has none."""

import json
import re

import pandas as pd
import pytest

from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.reports import cards

MADE = {"git_commit": "abc", "gpu": None, "processor": "a CPU", "started": "2026-01-02T03:04:05+00:00"}
WRITTEN = re.compile(r"\b\d\d\.\d\d\b|[+-]\d\.\d\d\b")  # as a PSNR is, and a difference


def test_the_committed_page_is_what_the_committed_numbers_make():
    assert (cards.DOCS / cards.PAGE).read_text(encoding="utf-8") == cards.page(), (
        "run `python -m maskrf_core.workbook.reports.cards`"
    )


def test_every_score_of_the_readme_has_a_card():
    results = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Results")[2].partition("\n## ")[0]
    known = set(WRITTEN.findall(cards.page()))
    found = set(WRITTEN.findall(results))
    assert found
    assert found <= known, "a number that nothing in docs/numbers.md makes again"


def test_scores_of_demo_test_scenes_are_a_mean_and_other_scenes_stand_alone():
    about = {"working views": 8, "method": "maskrf"}
    card = {
        "name": "maskrf", "command": "c", "commits": ["abc"], "devices": ["a CPU"], "written": MADE["started"],
        "numbers": [
            {"scene": "demo/test_00", "psnr": 20.0, "ssim": 0.5, "depth error": 0.01, **about},
            {"scene": "demo/test_01", "psnr": 21.0, "ssim": 0.7, "depth error": 0.02, **about},
            {"scene": "nerf_llff/fern/8", "psnr": 18.0, "ssim": 0.4, "depth error": None, **about},
        ],
    }  # fmt: skip
    demo, fern = cards.cards_of_weights(card)
    assert demo.ours == "20.50 / 0.600 / 1.5 %"
    assert demo.what.startswith("demo/test (mean of 2), maskrf, 8 views")
    assert fern.ours == "18.00 / 0.400"
    assert (demo.published.split(":")[0], fern.published.split(";")[0]) == ("none", "not read")
    assert demo[3:] == ("c", "abc", "a CPU", "2026-01-02")


def test_a_comparison_of_the_study_is_a_card():
    rows = [("like", 8, "psnr", 0.2, 0.1, 0.3, 0.2), ("real", 8, "psnr", -0.1, -0.3, 0.1, 0.26),
            ("like", 3, "psnr", 9.0, 8.0, 10.0, 1.0), ("like", 8, "ssim", 9.0, 8.0, 10.0, 1.0)]  # fmt: skip
    columns = ["group", "working views", "metric", "difference", "low", "high", "tells"]
    results = pd.DataFrame(rows, columns=columns).assign(question="one factor", arm="no EMA", against="ratio 0.5")
    results[["train scenes", "steps"]] = 60, 1000
    made = pd.DataFrame({"commit": ["b", "a"], "device": "cpu", "date": ["2026-01-02T03", "2026-01-01T03"]})
    (card,) = cards.cards_of_study(results, made)
    assert card.what == "study: no EMA – ratio 0.5, 8 views"
    assert card.ours == "like **+0.20** (+0.10 to +0.30) / real -0.10 (-0.30 to +0.10; 0.26)"
    assert card[4:] == ("a, b", "cpu", "2026-01-02")


@pytest.mark.parametrize(("numbers", "expected"), [
    ({"views": 4, "methods": {"one": {"psnr": 20.0, "ssim": 0.5}}}, {"05: one, mean of 4 views": "20.00 / 0.500"}),
    ({"views": 8, "psnr": 18.0, "ssim": 0.25}, {"05: mean of 8 views": "18.00 / 0.250"}),
    ({"epipolar_median_px": 0.4}, {}),
])  # fmt: skip
def test_what_a_notebook_recorded_becomes_cards(numbers, expected):
    assert {card.what: card.ours for card in cards.cards_of_notebook("05", numbers, MADE)} == expected


def test_numbers_are_taken_from_run_folders_with_what_made_them(tmp_path):
    for folder, results in {
        "05_evaluate": {"results": {"views": 1, "psnr": 10.0, "ssim": 0.5}, "provenance": MADE | {"host": "secret"}},
        "finetune": {"initial_weights": {"file": "x"}, "04_finetune": {"views": 8, "psnr": 11.0, "ssim": 0.5}},
    }.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "results.json").write_text(json.dumps(results))
    (tmp_path / "finetune" / "provenance.json").write_text(json.dumps({"sessions": [{"git_commit": "old"}, MADE]}))
    found = cards.collect(tmp_path)
    assert [(each["name"], each["numbers"]["psnr"]) for each in found] == [
        ("05_evaluate", 10),
        ("04_finetune, finetune", 11),
    ]
    assert all(each["made"] == MADE for each in found)
