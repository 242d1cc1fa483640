"""Atomic writing: the old file or the new one, and nothing beside them."""

import os
import stat
from pathlib import Path

import pytest

from maskrf_core.support.atomic_files import made_beside, remove_leftovers, write_atomically, write_json, write_text


def test_writes_below_new_folders(tmp_path):
    path = tmp_path / "a" / "b.json"
    write_json(path, {"x": 1})
    assert path.read_text(encoding="utf-8") == '{\n  "x": 1\n}\n'


def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")

    def fail(file):
        file.write(b"half of the n")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_cleaned_up_does_not_hide_what_went_wrong(tmp_path, monkeypatch):
    def fail(file):
        monkeypatch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError("not yours")))
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "file", fail)


def test_only_what_a_killed_writer_left_is_removed(tmp_path):
    path = tmp_path / "last.pt"
    left = []

    def killed(file):
        left.extend(tmp_path.iterdir())
        for own in left:
            (tmp_path / f"{own.name[:-8]}abcdefgh").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, killed)
    (tmp_path / ".last.pt.link").touch()
    others = [
        ".bashrc",
        ".nfs0123456789",
        ".last.pt",
        ".last.pt.of_me_and_you",
        "last.pt.abcdefgh",
        ".best.pt.abcdefgh",
    ]
    for name in others:
        (tmp_path / name).touch()
    for name in (".ipynb_checkpoints", ".last.pt.ijklmnop"):
        (tmp_path / name).mkdir()
    (tmp_path / ".last.pt.qrstuvwx").symlink_to(tmp_path / ".bashrc")
    remove_leftovers(path, tmp_path / "previous.pt", tmp_path / "none" / "best.pt")
    kept = {*others, ".ipynb_checkpoints", ".last.pt.ijklmnop", ".last.pt.qrstuvwx"}
    assert {entry.name for entry in tmp_path.iterdir()} == kept


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o002])
def test_the_umask_says_who_may_read_and_write(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "file", "text")
        with made_beside(tmp_path / "folder") as beside:
            (beside / "file").touch()
    finally:
        os.umask(before)
    permissions = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert permissions == {"file": 0o666 & ~umask, "folder": 0o777 & ~umask}


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "a" / "made"

    def fail():
        with made_beside(folder) as beside:
            (beside / "half").touch()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert not list(folder.parent.iterdir())
    with made_beside(folder) as beside:
        (beside / "file").touch()
        assert not folder.exists()
    assert [path.name for path in folder.parent.rglob("*")] == ["made", "file"]


def test_the_folder_of_a_faster_process_stays(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "of the faster one").touch()
    with made_beside(tmp_path / "made") as beside:
        (beside / "file").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "of the faster one"]
    with pytest.raises(OSError, match="not empty"), made_beside(tmp_path / "made", lambda _: False):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
