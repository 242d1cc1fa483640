"""Depth maps: the scene's own and kept estimates; damage is mended, never believed."""

import numpy as np
import pytest

from maskrf_core.datasets.depth import depth_maps as module
from maskrf_core.datasets.depth.depth_maps import depth_maps
from maskrf_core.support.errors import DatasetError
from tests.datasets.memory_scene import MemoryScene


class SceneWithoutDepth(MemoryScene):
    def depth(self, image_id):
        return None


@pytest.fixture
def estimates(monkeypatch):
    """Counts the estimations, which are made up: view_1 is 2 m away everywhere."""
    calls = []

    def estimate(scene, image_ids, *, wanted, **_):
        calls.append(list(wanted))
        for image_id in wanted:
            yield image_id, np.full(scene.shape, 1.0 + image_ids.index(image_id), np.float32)

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
    whole = dict(depth_maps(SceneWithoutDepth(), ids, cache_root=tmp_path))
    path = next(tmp_path.rglob("view_1*.npy"))
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.warns(UserWarning, match="is damaged"):
        mended = depth_maps(SceneWithoutDepth(), ids, cache_root=tmp_path)
    assert np.array_equal(mended["view_1"], whole["view_1"])
    assert estimates == [ids, ["view_1"]]


def test_image_ids_cannot_leave_the_cache(estimates, tmp_path):
    scene = SceneWithoutDepth()
    scene.image_ids = ["../../outside", "a/b"]
    depth_maps(scene, scene.image_ids, cache_root=tmp_path / "cache")
    written = list(tmp_path.rglob("*.npy"))
    assert len(written) == 2
    assert all(path.is_relative_to(tmp_path / "cache") for path in written)


def test_kept_maps_are_read_when_asked_for(estimates, tmp_path):
    maps = depth_maps(SceneWithoutDepth(), ["view_0", "view_1"], cache_root=tmp_path)
    assert list(maps) == ["view_0", "view_1"]
    path = next(tmp_path.rglob("view_1*.npy"))
    np.save(path, np.full((32, 48), 7, np.float32))
    assert (maps["view_1"] == 7).all()
    path.unlink()
    with pytest.raises(DatasetError, match=r"view_1.*\.npy: .*Delete the file"):
        maps["view_1"]
    with pytest.raises(KeyError):
        maps["view_2"]


def test_an_interrupted_estimation_is_continued(estimates, tmp_path, monkeypatch):
    ids, complete = ["view_0", "view_1", "view_2"], module.estimate_depth_maps

    def interrupted(*arguments, **settings):
        maps = complete(*arguments, **settings)
        yield next(maps)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "estimate_depth_maps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        depth_maps(SceneWithoutDepth(), ids, cache_root=tmp_path)
    monkeypatch.setattr(module, "estimate_depth_maps", complete)
    maps = depth_maps(SceneWithoutDepth(), ids, cache_root=tmp_path)
    assert estimates == [ids, ["view_1", "view_2"]]
    assert [float(maps[image_id].mean()) for image_id in ids] == [1, 2, 3]


def test_own_maps_take_part_in_the_estimation_of_the_others(tmp_path, monkeypatch):
    scene, asked = MemoryScene(), []
    monkeypatch.setattr(scene, "depth", lambda i: np.full(scene.shape, 3, np.float32) if i == "view_0" else None)

    def estimate(scene, image_ids, *, given, wanted, **_):
        asked.append((list(image_ids), list(given), list(wanted)))
        return iter([("view_1", np.zeros(scene.shape, np.float32))])

    monkeypatch.setattr(module, "estimate_depth_maps", estimate)
    maps = depth_maps(scene, ["view_0", "view_1"], cache_root=tmp_path)
    assert asked == [(["view_0", "view_1"], ["view_0"], ["view_1"])]
    assert (maps["view_0"] == 3).all()
    assert not maps["view_1"].any()


def test_patch_match_is_preferred_and_may_fail(estimates, monkeypatch, capsys):
    scene, ids = SceneWithoutDepth(), ["view_0", "view_1"]
    monkeypatch.setattr(module, "patch_match_is_possible", lambda device: device == "cuda")
    monkeypatch.setattr(
        module, "patch_match_depth_maps", lambda scene, ids, **_: {i: np.full((32, 48), 9, np.float32) for i in ids}
    )
    assert (depth_maps(scene, ids, cache_root=None, device="cuda")["view_1"] == 9).all()
    assert not estimates
    assert (depth_maps(scene, ids, cache_root=None, device="cpu")["view_1"] == 2).all()

    def fails(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(module, "patch_match_depth_maps", fails)
    assert (depth_maps(scene, ids, cache_root=None, device="cuda")["view_1"] == 2).all()
    assert "patch-match failed (out of memory)" in capsys.readouterr().out
