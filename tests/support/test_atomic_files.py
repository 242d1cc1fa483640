"""Atomic writing: the old file or the new one, and nothing beside them."""

import pytest

from maskrf_core.support.atomic_files import write_atomically, write_json, write_text


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
