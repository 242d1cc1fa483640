"""Tables against hand-made numbers."""

import numpy as np
import pandas as pd

from maskrf_core.config import load_config
from maskrf_core.workbook import tables


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


def test_data_sets_are_found_below_the_data_root(tmp_path):
    (tmp_path / "nerf_llff_data" / "fern").mkdir(parents=True)
    found = tables.data_sets(tmp_path)
    assert found.loc["nerf_llff", ["state", "scenes"]].tolist() == ["present", "fern"]
    assert found.loc["nerf_synthetic", "state"].startswith("absent")
    assert found.loc["demo", "state"] == "part of the package"


def test_settings_are_shown_with_their_meaning():
    config = load_config("pretrain", "paper")
    shown = tables.settings_shown(config, ["masking.mask_ratio", "data.rays"])
    assert shown["value"].tolist() == ["0.5", str(config.data.rays)]
    assert "masked" in shown.loc["masking.mask_ratio", "meaning"]


def test_lpips_note_gives_the_reason_in_short_lines(monkeypatch):
    monkeypatch.setattr(tables, "why_no_lpips", lambda: "no weights " * 20)
    note = tables.lpips_note()
    assert note.startswith("LPIPS n/a: no weights")
    assert max(map(len, note.splitlines())) <= 100
    monkeypatch.setattr(tables, "why_no_lpips", lambda: None)
    assert tables.lpips_note() == "LPIPS: VGG backbone"
