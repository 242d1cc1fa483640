"""What is reported of data sets that are absent, whole, short of scenes or broken."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.data_set import DataSet
from maskrf_core.datasets.inventory import inspect, inspect_scene, inspect_scenes, named_scenes, read_view, spread
from maskrf_core.datasets.records import DATA_SETS
from maskrf_core.support.errors import DatasetError
from tests.datasets.memory_scene import MemoryScene, make_scenes, read_folder
from tests.datasets.readers.tree_parts import write_picture


def build(root: Path, *scenes: str) -> None:
    """NeRF synthetic scenes of three images, 800 wide and one pixel high."""
    for name in scenes:
        folder = root / "nerf_synthetic" / name
        for split in ("train", "val", "test"):
            (folder / split).mkdir(parents=True)
            assert cv2.imwrite(str(folder / split / "r_0.png"), np.full((1, 800, 4), 255, np.uint8))
            frame = {"file_path": f"./{split}/r_0", "transform_matrix": np.eye(4).tolist()}
            listing = {"camera_angle_x": math.pi / 4, "frames": [frame]}
            (folder / f"transforms_{split}.json").write_text(json.dumps(listing))


def test_absent_part_complete_and_broken(tmp_path):
    (absent,) = inspect(tmp_path, ["nerf_synthetic"])
    assert (absent.state, absent.found) == ("absent", 0)
    build(tmp_path, "lego")
    (part,) = inspect(tmp_path, ["nerf_synthetic"])
    assert (part.state, part.whole, part.total("images")) == ("part", 1, 3)
    build(tmp_path, *"abcdefg")
    (complete,) = inspect(tmp_path, ["nerf_synthetic"])
    assert (complete.state, complete.whole, complete.found, complete.total("images")) == ("complete", 8, 8, 24)
    (tmp_path / "nerf_synthetic/c/test/r_0.png").unlink()
    (broken,) = inspect(tmp_path, ["nerf_synthetic"])
    assert (broken.state, broken.whole, broken.total("images")) == ("broken", 7, 21)
    assert "lists ./test/r_0, which is missing in nerf_synthetic/c" in broken.first_fault
    assert str(tmp_path) not in broken.first_fault


def test_only_a_thorough_look_finds_what_lies_deep(tmp_path):
    build(tmp_path, "lego")
    deep = tmp_path / "nerf_synthetic/lego/test/r_0.png"
    data = deep.read_bytes()
    deep.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
    assert inspect(tmp_path, ["nerf_synthetic"])[0].state == "part"
    (scene,) = inspect_scenes(["nerf_synthetic/lego/black_800"], tmp_path)
    assert (scene.looked_at, scene.images) == (2, 3)
    assert "nerf_synthetic/lego/test/r_0.png: the image is cut short or damaged" in scene.fault


def test_depth_is_counted(tmp_path):
    assert inspect_scene("demo/test_00", tmp_path, "quick").with_depth == 1
    assert inspect_scene("demo/test_00", tmp_path, "thorough").with_depth == 20


def test_a_reader_that_fails_in_its_own_words_does_not_stop_the_check(tmp_path, monkeypatch):
    def failing(asked):
        if asked.name == "bad/1":
            raise KeyError(f"{asked.folder}/file")
        return read_folder(asked)

    make_scenes(tmp_path, "bad/0", "bad/1", "bad/2")
    monkeypatch.setitem(DATA_SETS, "bad", DataSet("bad", "bad/<scene>", "bad/0", ("bad",), failing))
    monkeypatch.setitem(DATA_SETS, "gone", DataSet("gone", "gone/<scene>", "gone/0", (), "", names="nowhere:Gone"))
    bad, gone = inspect(tmp_path, ["bad", "gone"])
    assert (bad.state, bad.found, bad.whole) == ("broken", 3, 2)
    assert bad.first_fault == "KeyError: 'bad/1/file' (unforeseen by the reader; please report it)"
    assert (gone.state, gone.found) == ("broken", 0)


@pytest.mark.parametrize(
    ("method", "value", "match"),
    [
        ("mask", np.ones((3, 4), bool), "the mask is 4×3, the photograph 48×32"),
        ("depth", np.ones((3, 4), np.float32), "the depth map is 4×3"),
        ("w2c", np.full((3, 4), np.nan), "NaN"),
        ("K", np.zeros((3, 3)), "positive focal lengths"),
        ("depth_range", (2.0, 1.0), "0 < near < far"),
    ],
)
def test_views_whose_parts_do_not_fit(method, value, match):
    memory = MemoryScene()
    assert read_view(memory, "view_0")
    setattr(memory, method, lambda image_id: value)
    with pytest.raises(DatasetError, match=match):
        read_view(memory, "view_0")


def test_limit_spreads_over_all():
    assert spread(list("abcdefgh"), 3) == ["a", "c", "f"]
    assert spread(list("ab"), 3) == spread(list("ab"), None) == ["a", "b"]


def test_names_of_data_sets_stand_for_their_scenes(tmp_path):
    build(tmp_path, "lego")
    scenes = named_scenes(["nerf_synthetic", "demo/test", "nerf_synthetic/lego/black_800", "demo/test_00"], tmp_path)
    assert scenes == ["nerf_synthetic/lego/black_800", *(f"demo/test_0{number}" for number in range(4))]
    with pytest.raises(DatasetError, match="nerf_llff: no scenes in nerf_llff_data or nerf_llff below"):
        named_scenes(["nerf_llff"], tmp_path)


def test_photographs_without_cameras_are_to_prepare_and_not_broken(tmp_path):
    for number in range(3):
        write_picture(tmp_path / f"captures/shelf/{number}.jpg", 24, 32)
    (report,) = inspect(tmp_path, ["capture"])
    assert (report.state, report.whole) == ("to prepare", 0)
    assert [scene.state for scene in report.scenes] == ["to prepare"]
    assert "prepare_capture" in report.first_fault
    (tmp_path / "captures/table/sparse").mkdir(parents=True)
    (report,) = inspect(tmp_path, ["capture"])
    assert report.state == "broken"
