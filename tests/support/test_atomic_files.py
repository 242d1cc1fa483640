"""Atomic writing: the old file or the new one, and nothing beside them."""

import pytest

from maskrf_core.support.atomic_files import remove_leftovers, write_atomically, write_json, write_text


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
