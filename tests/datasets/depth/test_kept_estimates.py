"""Kept estimates of a scene on disk are found by the state of its files, without reading its pictures."""

import os
import shutil

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.depth import depth_maps as module
from maskrf_core.datasets.depth.depth_maps import depth_maps, known_depth_maps
from maskrf_core.datasets.scene import FrameScene, open_scene
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.memory_scene import MemoryScene
from tests.datasets.readers.trees.real_estate import build
from tests.other_users import of_another_user

FRAME = "real_estate_dataset/train/frames/0a1b/500.png"
COLMAP = "colmap_forward_cache/real_estate/0a1b/dense_out/stereo/depth_maps/500.jpg.geometric.bin"


@pytest.fixture
def data_root(tmp_path, monkeypatch):
    """Four frames of 27×40 without depth; their estimates are made up."""
    name = build(tmp_path / "data")
    assert name == "real_estate/0a1b/27_40"
    monkeypatch.setattr(module, "estimate_depth_maps", estimate)
    return tmp_path / "data"


def estimate(scene, image_ids, *, wanted, **_):
    return ((image_id, np.full((27, 40), 2, np.float32)) for image_id in wanted)


@pytest.fixture
def reads(monkeypatch):
    """Names of views whose pictures are decoded."""
    names, image, mask = [], FrameScene.image, FrameScene.mask
    monkeypatch.setattr(FrameScene, "image", lambda self, name: names.append(name) or image(self, name))
    monkeypatch.setattr(FrameScene, "mask", lambda self, name: names.append(name) or mask(self, name))
    return names


def find(data_root, look=depth_maps):
    scene = open_scene("real_estate/0a1b/27_40", data_root)
    return look(scene, scene.image_ids, cache_root=data_root / "cache")


def test_unchanged_scenes_are_known_without_reading_a_picture(data_root, reads):
    find(data_root)
    reads.clear()
    for look in (depth_maps, known_depth_maps):
        maps = find(data_root, look)
        assert [float(maps[name].mean()) for name in maps] == [2, 2, 2, 2]
    assert not reads


def test_a_scene_without_estimates_is_known_to_have_none_without_reading_a_picture(data_root, reads):
    assert find(data_root, known_depth_maps) is None
    assert not reads


def test_estimates_kept_by_earlier_versions_are_found(data_root, reads, monkeypatch):
    """They kept nothing beside the estimates: the pictures are read once."""
    find(data_root)
    for path in (data_root / "cache/depth").glob("*.json"):
        path.unlink()
    monkeypatch.setattr(module, "estimate_depth_maps", None)
    assert len(find(data_root, known_depth_maps)) == 4
    reads.clear()
    assert len(find(data_root, known_depth_maps)) == len(find(data_root)) == 4
    assert not reads


def test_their_names_have_not_changed(tmp_path, monkeypatch):
    scene = MemoryScene(count=3)
    scene.depth = lambda name: np.full(scene.shape, 3, np.float32) if name == "view_0" else None
    monkeypatch.setattr(module, "estimate_depth_maps", estimate)
    depth_maps(scene, scene.image_ids, cache_root=tmp_path, device="cpu")
    assert [path.name for path in tmp_path.glob("depth/*")] == ["memory_aee2715da75d189b"]


def test_what_was_only_copied_has_its_estimates(data_root, reads, monkeypatch):
    find(data_root)
    os.utime(data_root / FRAME, ns=(0, 0))
    reads.clear()
    monkeypatch.setattr(module, "estimate_depth_maps", None)
    assert len(find(data_root, known_depth_maps)) == 4
    assert reads


@pytest.mark.parametrize("change", ["picture", "of the same length", "behind a link", "camera", "own depth"])
def test_what_has_changed_has_none(data_root, change):
    if change == "behind a link":
        folder = (data_root / FRAME).parent
        shutil.move(folder, data_root / "elsewhere")
        folder.symlink_to(data_root / "elsewhere")
    find(data_root)
    if change == "camera":
        listing = data_root / "real_estate_dataset/train/cameras/0a1b.txt"
        listing.write_text(listing.read_text().replace(" 0.5 0.9 ", " 0.5 0.8 "))
    elif change == "own depth":
        (data_root / COLMAP).parent.mkdir(parents=True)
        write_colmap_depth(data_root / COLMAP, np.full((27, 40), 9, np.float32))
    else:
        before = (data_root / FRAME).read_bytes()
        assert cv2.imwrite(str(data_root / FRAME), np.full((18, 32, 3), 200, np.uint8))
        if change == "of the same length":  # what comes after the end of a picture is not looked at
            after = (data_root / FRAME).read_bytes()
            (data_root / FRAME).write_bytes(after + bytes(len(before) - len(after)))
    assert find(data_root, known_depth_maps) is None
    assert len(find(data_root)) == 4


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"fingerprint": "../../..", "shapes": {}}'])
def test_damage_is_mended(data_root, damage):
    find(data_root)
    (note,) = (data_root / "cache/depth").glob("*.json")
    whole = note.read_bytes()
    note.write_bytes(damage)
    assert len(find(data_root, known_depth_maps)) == 4
    assert note.read_bytes() == whole


def test_whether_a_map_is_there_is_known_without_reading_it(data_root, monkeypatch):
    maps = find(data_root)
    monkeypatch.setattr(np, "load", None)
    assert "500" in maps
    assert "501" not in maps


def test_a_part_is_not_enough(data_root):
    find(data_root)
    next((data_root / "cache/depth").glob("*/500_*.npy")).unlink()
    assert find(data_root, known_depth_maps) is None


def test_a_second_user_reads_what_the_first_kept_and_keeps_what_is_new(data_root, tmp_path, monkeypatch, capsys):
    """Where the cache is the first one's, and may be read only."""
    find(data_root)
    with of_another_user(data_root / "cache", tmp_path / "own") as own, monkeypatch.context() as patch:
        patch.setattr(module, "estimate_depth_maps", None)
        assert len(find(data_root)) == 4
        assert not own.exists()
    next((data_root / "cache/depth").glob("*/*.npy")).write_bytes(b"damaged")
    with of_another_user(data_root / "cache", tmp_path / "own") as own:
        capsys.readouterr()
        with pytest.warns(UserWarning, match="is damaged"):
            maps = find(data_root)
        assert [float(maps[name].mean()) for name in maps] == [2, 2, 2, 2]
        assert len(list(own.rglob("*.npy"))) == 1
        monkeypatch.setattr(module, "estimate_depth_maps", None)
        assert len(find(data_root)) == len(find(data_root, known_depth_maps)) == 4
        assert str(data_root / "cache") in capsys.readouterr().out
