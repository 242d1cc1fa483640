"""Tables against hand-made numbers."""

import numpy as np
import pandas as pd

from maskrf_core.datasets.inventory import DataSetReport, SceneReport
from maskrf_core.settings.config import load_config
from maskrf_core.workbook.experiments import tables


def scores():
    return pd.DataFrame(
        [
            {"method": "b", "image_id": "1", "fine_psnr": 20.0, "fine_ssim": 0.5, "fine_lpips": None},
            {"method": "b", "image_id": "2", "fine_psnr": 23.0, "fine_ssim": 0.7, "fine_lpips": None},
            {"method": "a", "image_id": "1", "fine_psnr": 10.126, "fine_ssim": 0.25, "fine_lpips": 0.5},
        ]
    )


def test_summary_is_the_mean_over_views_in_the_order_of_methods():
    summary = tables.summary_of(scores())
    assert list(summary.index) == ["b", "a"]
    assert summary.loc["b", "psnr"] == 21.5
    assert np.isclose(summary.loc["b", "ssim"], 0.6)
    assert np.isnan(summary.loc["b", "lpips"])
    assert summary.loc["a", "lpips"] == 0.5


def test_a_missing_metric_is_never_a_number():
    shown = tables.formatted(tables.summary_of(scores()))
    assert shown.loc["b"].tolist() == ["21.50", "0.600", "n/a"]
    assert shown.loc["a"].tolist() == ["10.13", "0.250", "0.500"]


def test_recorded_numbers_come_back():
    summary = tables.summary_of(scores())
    recorded = tables.plain(summary)
    assert recorded["b"] == {"psnr": 21.5, "ssim": summary.loc["b", "ssim"], "lpips": None}
    pd.testing.assert_frame_equal(tables.from_plain(recorded), summary)


def reports():
    whole = SceneReport("nerf_llff/fern/8", 20, 1, 0)
    broken = SceneReport("real_iconic/data5_lotr/4", 0, 0, 0, "poses_bounds.npy: missing. Unpack it again.")
    return [
        DataSetReport("nerf_llff", 1, (whole,)),
        DataSetReport("real_iconic", 3, (broken,)),
        DataSetReport("gso", 0, ()),
    ]


def test_data_sets_are_counted_and_their_faults_named():
    table = tables.data_sets(reports())
    assert table["state"].tolist() == ["part", "broken", "absent"]
    assert table["scenes found"].tolist() == ["1 of 8", "3", ""]
    assert table["whole"].tolist() == ["1 of 1", "0 of 1", ""]
    fault, test_scene = tables.remarks(reports()).splitlines()
    assert fault == "real_iconic: poses_bounds.npy: missing. Unpack it again."
    assert test_scene.startswith("real_iconic: real_iconic/data5_lotr/4 shows what a test set shows. Never train on it")
    assert tables.remarks(reports()[:1]) == "Nothing is broken in what is there."


def test_where_to_get_lists_what_is_not_complete():
    complete = DataSetReport("demo", 24, (SceneReport("demo/train_00", 20, 1, 1),))
    page = tables.where_to_get([complete, *reports()]).data.replace("<wbr>", "")
    assert "google_scanned_objects" in page
    assert '<a href="https://github.com/googleinterns/IBRNet#e-google-scanned-objects">' in page
    assert "&lt;black|white&gt;" in page
    assert "demo/" not in page
    assert tables.where_to_get([complete]).data == "Everything is there."


def test_scenes_and_long_texts_are_shown_whole():
    table = tables.scenes(reports()[1].scenes)
    row = table.loc["real_iconic/data5_lotr/4"]
    assert (row["state"], row["fault"]) == ("broken", "poses_bounds.npy: missing. Unpack it again.")
    long = pd.DataFrame({"fault": ["<x> " + "words " * 50]}, index=["a"])
    assert "&lt;x&gt; " + "words " * 49 in tables.or_text(long, "none").data
    assert tables.or_text(tables.scenes([]), "none").data == "none"


def test_settings_are_shown_with_their_meaning():
    config = load_config("pretrain", "paper")
    names = ["masking.target_memory", "data.rays"]
    shown = tables.settings_shown(config, names).data.replace("<wbr>", "")
    assert all(name in shown for name in names)
    assert f">{config.data.rays}<" in shown
    meaning = type(config.masking).model_fields["target_memory"].description
    assert len(meaning) > 50, "which pandas cuts"
    assert meaning in shown


def test_lpips_note_gives_the_reason_in_short_lines(monkeypatch):
    monkeypatch.setattr(tables, "why_no_lpips", lambda: "no weights " * 20)
    note = tables.lpips_note()
    assert note.startswith("LPIPS n/a: no weights")
    assert max(map(len, note.splitlines())) <= 100
    monkeypatch.setattr(tables, "why_no_lpips", lambda: None)
    assert tables.lpips_note() == "LPIPS: VGG backbone"
