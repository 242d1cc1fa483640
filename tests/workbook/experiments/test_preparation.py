"""What the doctor does when it is asked to: unpack, prepare captures, keep depth; and nothing when it is not."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import DatasetError
from maskrf_core.workbook.experiments import preparation
from tests.datasets.archives.archive_files import tree, write_zip
from tests.datasets.memory_scene import MemoryScene


def test_archives_are_only_unpacked_when_asked_to(tmp_path):
    write_zip(tmp_path / "lego.zip", {"nerf_synthetic/lego/transforms_train.json": b"{}", "README": b""})
    write_zip(tmp_path / "odd.zip", {"a": b""})
    before = tree(tmp_path)
    table = preparation.found_archives(tmp_path, unpack_them=False)
    assert table["belongs in"].tolist() == ["nerf_synthetic/", ""]
    assert tree(tmp_path) == before
    table = preparation.found_archives(tmp_path, unpack_them=True)
    assert table.loc["lego.zip", "state"] == "1 files unpacked, 0 were there, 1 left out"
    assert table.loc["odd.zip", "state"].startswith("odd.zip: looks like none of the known data sets")
    listing = tmp_path / "nerf_synthetic/lego/transforms_train.json"
    listing.write_bytes(b"mine")
    state = preparation.found_archives(tmp_path, unpack_them=True).loc["lego.zip", "state"]
    assert state.startswith("nerf_synthetic/lego/transforms_train.json: is there already and differs")
    assert listing.read_bytes() == b"mine"


def test_captures_are_prepared_before_they_are_opened(tmp_path, monkeypatch):
    calls = []
    module = SimpleNamespace(prepare_capture=lambda name, root: calls.append((name, root)))
    monkeypatch.setitem(sys.modules, "maskrf_core.datasets.captures.capture_preparation", module)
    monkeypatch.setattr(preparation, "open_scene", lambda name, root: calls.append(name) or MemoryScene())
    preparation.opened("capture/fox/raw", tmp_path)
    preparation.opened("demo/train_00", tmp_path)
    assert calls == [("capture/fox/raw", tmp_path), "capture/fox/raw", "demo/train_00"]


def test_depth_is_prepared_for_training_views_and_faults_stop_nothing(tmp_path):
    def estimate(scene, image_ids, *, cache_root, device):
        assert cache_root == tmp_path / "cache"
        if scene.name == "demo/test_01":
            raise DatasetError(f"{tmp_path}/file: is broken")
        assert list(image_ids) == open_scene(scene.name).split("train")[0]
        return {image_id: np.array([[1, 0], [0, 0]], np.float32) for image_id in image_ids}

    table = preparation.prepare_depths(["demo/test"], tmp_path, estimate=estimate)
    assert table.loc["demo/test_00", ["views", "known [%]", "fault"]].tolist() == [20, 25.0, ""]
    assert table.loc["demo/test_01", "fault"] == "file: is broken"
    assert len(table) == 4
    assert len(preparation.prepare_depths([], tmp_path)) == 0
    with pytest.raises(DatasetError, match="unknown data set"):
        preparation.prepare_depths(["dmo"], tmp_path)


def test_lists():
    assert preparation.listed(" a, b/c ,") == ["a", "b/c"]
    assert preparation.listed("") == preparation.listed(None) == []
