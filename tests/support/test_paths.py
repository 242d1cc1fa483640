"""Paths that mean the same from any folder, and a cache that is never where nobody may write."""

import pytest

from maskrf_core.support.errors import DatasetError
from maskrf_core.support.paths import ROOT, RUNS, cache_folder, display_path, resolve


def test_relative_paths_mean_the_current_folder_first_then_the_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve("configs") == ROOT / "configs"
    (tmp_path / "configs").mkdir()
    assert resolve("configs").resolve() == tmp_path / "configs"
    assert resolve(tmp_path) == tmp_path


def test_people_see_paths_below_the_checkout_relative(tmp_path):
    assert display_path(ROOT / "runs" / "demo") == "runs/demo"
    assert display_path(tmp_path) == str(tmp_path)


def test_cache_is_beside_the_data_or_with_the_runs(tmp_path):
    assert cache_folder(tmp_path) == tmp_path / "cache"
    assert cache_folder(tmp_path / "missing") == RUNS / "cache"
    tmp_path.chmod(0o555)
    try:
        assert cache_folder(tmp_path) == RUNS / "cache"
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("make", [lambda path: path.touch(), lambda path: path.symlink_to("nowhere")])
def test_a_cache_that_is_no_folder_is_said_before_anything_is_written(tmp_path, make):
    make(tmp_path / "cache")
    with pytest.raises(DatasetError, match=r"cache: is no folder.*Move it away"):
        cache_folder(tmp_path)
