"""Depth maps: the scene's own and kept estimates; damage is mended, never believed."""

import numpy as np
import pytest

from maskrf_core.datasets import depth_maps as module
from maskrf_core.datasets.depth_maps import depth_maps
from tests.datasets.memory_scene import MemoryScene


class SceneWithoutDepth(MemoryScene):
    def depth(self, image_id):
        return None


@pytest.fixture
def estimates(monkeypatch):
    """Counts the estimations, which are made up."""
    calls = []

    def estimate(scene, image_ids, **_):
        calls.append(list(image_ids))
        return {image_id: np.full(scene.shape, 1.0 + index, np.float32) for index, image_id in enumerate(image_ids)}

    monkeypatch.setattr(module, "estimate_depth_maps", estimate)
    return calls


def test_own_depth_is_taken_as_it_is(estimates, tmp_path):
    maps = depth_maps(MemoryScene(), ["view_1"], cache_root=tmp_path)
    assert (maps["view_1"] == 3).all()
    assert not estimates
    assert not list(tmp_path.iterdir())


def test_estimates_are_made_once_and_kept(estimates, tmp_path):
    ids = ["view_0", "view_2"]
    first = depth_maps(SceneWithoutDepth(), ids, cache_root=tmp_path)
    again = depth_maps(SceneWithoutDepth(), ids, cache_root=tmp_path)
    assert estimates == [ids]
    assert all(np.array_equal(first[image_id], again[image_id]) for image_id in ids)
    assert again["view_2"].dtype == np.float32


def test_without_a_cache_nothing_is_written(estimates, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    depth_maps(SceneWithoutDepth(), ["view_0", "view_1"], cache_root=None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["camera", "image", "mask"])
def test_a_changed_scene_is_estimated_again(estimates, tmp_path, change):
    ids = ["view_0", "view_1"]
    depth_maps(SceneWithoutDepth(), ids, cache_root=tmp_path)
    scene = SceneWithoutDepth()
    if change == "camera":
        scene.K = lambda image_id: np.diag([41.0, 41, 1])
    elif change == "image":
        scene.image = lambda image_id: np.zeros((*scene.shape, 3), np.uint8)
    else:
        scene.foreground = np.zeros(scene.shape, bool)
    depth_maps(scene, ids, cache_root=tmp_path)
    assert len(estimates) == 2


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY half of a header", None])
def test_damaged_cache_is_estimated_again_with_a_warning(estimates, tmp_path, damage):
    ids = ["view_0", "view_1"]
    whole = depth_maps(SceneWithoutDepth(), ids, cache_root=tmp_path)
    path = next(tmp_path.rglob("view_1*.npy"))
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.warns(UserWarning, match="is damaged"):
        mended = depth_maps(SceneWithoutDepth(), ids, cache_root=tmp_path)
    assert np.array_equal(mended["view_1"], whole["view_1"])
    assert len(estimates) == 2


def test_image_ids_cannot_leave_the_cache(estimates, tmp_path):
    scene = SceneWithoutDepth()
    scene.image_ids = ["../../outside", "a/b"]
    depth_maps(scene, scene.image_ids, cache_root=tmp_path / "cache")
    written = list(tmp_path.rglob("*.npy"))
    assert len(written) == 2
    assert all(path.is_relative_to(tmp_path / "cache") for path in written)
