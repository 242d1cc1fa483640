"""Paths that mean the same from any folder, and caches that serve users who may not write to them."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from maskrf_core.support.errors import DatasetError, SettingsError
from maskrf_core.support.paths import (
    ROOT,
    RUNS,
    cache_folder,
    display_path,
    kept_beside,
    kept_path,
    may_write,
    private_folder,
    resolve,
    users_cache,
    writable_path,
)


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


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """Return another user's cache folder, with one file in it, and a cache folder of one's own."""
    folder = tmp_path / "data" / "cache" / "depth"
    folder.mkdir(parents=True)
    (folder / "theirs").write_text("theirs")
    folder.chmod(0o555)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    monkeypatch.setattr("maskrf_core.support.paths.RUNS", tmp_path / "runs")
    yield folder.parent
    folder.chmod(0o755)


def test_what_cannot_be_written_to_a_shared_cache_is_kept_in_ones_own(shared, tmp_path, capsys):
    assert writable_path(shared, "renders", "a") == shared / "renders" / "a"  # a folder that is not there yet
    own = writable_path(shared, "depth", "a")
    assert own == tmp_path / "runs" / "cache" / "depth" / "a"
    assert writable_path(shared, "depth", "b").parent == own.parent
    assert capsys.readouterr().out.count("\n") == 1  # said once
    (tmp_path / "runs").mkdir(mode=0o555)
    assert writable_path(shared, "depth", "a") == users_cache() / "data" / "depth" / "a"
    assert users_cache().is_relative_to(tmp_path / "own")
    (tmp_path / "runs").chmod(0o755)


def test_what_others_keep_is_found_and_ones_own_comes_first(shared):
    assert kept_path(shared, "depth", "theirs") == shared / "depth" / "theirs"
    assert kept_path(shared, "depth", "new") == shared / "depth" / "new"
    for name in ("theirs", "new"):
        own = writable_path(shared, "depth", name)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text("mine")
        assert kept_path(shared, "depth", name) == own
    assert sorted(path.read_text() for path in kept_beside(shared, "depth", "*")) == ["mine", "mine", "theirs"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be someone else")
def test_another_user_may_not_write_to_folders_of_the_first(request):
    root = Path(tempfile.mkdtemp())  # unlike tmp_path, others can reach it
    request.addfinalizer(lambda: [folder.rmdir() for folder in (root / "cache", root)])
    (root / "cache").mkdir()
    root.chmod(0o777)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os._exit(may_write(root / "new") + 2 * may_write(root / "cache") + 4 * may_write(root / "cache" / "depth"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert may_write(root / "cache" / "depth")


@pytest.mark.parametrize("make", [lambda path: path.touch(), lambda path: path.symlink_to("nowhere")])
def test_a_cache_that_is_no_folder_is_said_before_anything_is_written(tmp_path, make):
    make(tmp_path / "cache")
    with pytest.raises(DatasetError, match=r"cache: is no folder.*Move it away"):
        cache_folder(tmp_path)


def test_a_private_folder_is_for_its_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = private_folder("compiled")
    assert folder.is_relative_to(tmp_path / "cache")
    folder.chmod(0o777)  # as by an earlier version or a careless hand
    assert stat.S_IMODE(private_folder("compiled").stat().st_mode) == 0o700
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(SettingsError, match="belongs to the user"):
        private_folder("compiled")


def test_the_user_s_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for said in ("", "relative"):  # which does not count, by the standard of XDG
        monkeypatch.setenv("XDG_CACHE_HOME", said)
        assert users_cache() == tmp_path / ".cache" / "maskrf"
    (tmp_path / ".cache").touch()
    with pytest.raises(SettingsError, match="XDG_CACHE_HOME"):
        private_folder("compiled")
