"""Making many scenes: goes on where it stopped, keeps out a second maker, loses nothing when the disk is full."""

import errno
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from maskrf_core.datasets.files.sheets import IMAGES, write_sheets
from maskrf_core.datasets.procedural import making
from maskrf_core.datasets.procedural.__main__ import main, scene_folder_names
from maskrf_core.support.errors import DatasetError

NAMES = ["objects_0000", "rooms_0000", "tables_0000"]


def pretend(folder: Path, full_at: str = "") -> Path:
    if folder.name == full_at:
        raise OSError(errno.ENOSPC, "No space left on device")
    camera = {"K": np.diag([9.0, 9, 1]).tolist(), "w2c": np.eye(4)[:3].tolist(), "depth_range": [1.0, 2.0]}
    camera["K"][0][2] = camera["K"][1][2] = 3.5
    write_sheets(folder, {"view_00": camera}, [np.zeros((8, 8, 3), np.uint8)], [np.ones((8, 8), np.uint16)], 90)
    return folder


@pytest.fixture(autouse=True)
def no_mitsuba(monkeypatch):
    monkeypatch.setattr(making, "load_mitsuba", lambda: None)


def test_what_is_there_is_passed_over(tmp_path):
    assert len(making.make_scenes(NAMES[:1], tmp_path, pretend, workers=1)) == 1
    assert {path.name for path in making.make_scenes(NAMES, tmp_path, pretend, workers=2)} == set(NAMES[1:])
    assert making.make_scenes(NAMES, tmp_path, pretend, workers=2) == []


def test_a_broken_scene_is_made_again(tmp_path):
    (made,) = making.make_scenes(NAMES[:1], tmp_path, pretend, workers=1)
    (made / IMAGES).write_bytes(b"RIFF")
    assert making.make_scenes(NAMES[:1], tmp_path, pretend, workers=1) == [made]
    assert making.is_whole(made)


def test_a_full_disk_is_named_and_what_was_made_stays(tmp_path):
    with pytest.raises(DatasetError, match="No space left"):
        making.make_scenes(NAMES, tmp_path, partial(pretend, full_at=NAMES[2]), workers=1)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == set(NAMES[:2])
    assert len(making.make_scenes(NAMES, tmp_path, pretend, workers=1)) == 1


def in_the_middle(folder: Path) -> Path:
    with pytest.raises(DatasetError, match="another process"):
        making.make_scenes(NAMES[1:], folder.parent, pretend, workers=1)
    return pretend(folder)


def test_a_second_maker_is_kept_out(tmp_path):
    assert len(making.make_scenes(NAMES[:1], tmp_path, in_the_middle, workers=1)) == 1


def test_kinds_take_turns_and_single_scenes_follow():
    assert scene_folder_names(["objects", "rooms", "tables_0500"], 3, 2) == [
        "objects_0003",
        "rooms_0003",
        "objects_0004",
        "rooms_0004",
        "tables_0500",
    ]


@pytest.mark.parametrize("asked", ["gardens", "rooms_7", "rooms_10000", "rooms_00012"])
def test_what_cannot_be_made_is_said(asked, tmp_path, capsys):
    assert main([asked, "--data-root", str(tmp_path)]) == 1
    assert asked in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
