"""Decoded images: read once while there is room, never more than the bound."""

import pickle

import numpy as np
import pytest

from maskrf_core.datasets.batches.image_cache import ImageCache
from maskrf_core.datasets.batches.scene_views import SceneViews
from tests.datasets.memory_scene import MemoryScene


def picture(value, side=256):
    return lambda: np.full((side, side), value, np.uint8)  # 64 KiB


def test_what_was_used_last_is_kept_up_to_the_bound():
    cache = ImageCache(mib=0.25)  # four pictures
    for value in (0, 1, 2, 3, 0, 4):
        assert cache.get(value, picture(value))[0, 0] == value
        assert cache.bytes <= 2**18
    assert cache.get(0, picture(9))[0, 0] == 0  # kept
    assert cache.get(1, picture(9))[0, 0] == 9  # the one not used for longest had to go


def test_what_is_too_large_is_read_each_time():
    cache = ImageCache(mib=0.0)
    assert cache.get("a", picture(1))[0, 0] == 1
    assert cache.get("a", picture(2))[0, 0] == 2
    assert cache.bytes == 0


def test_arrays_are_whole_copies_that_nobody_changes():
    sheet = np.zeros((100, 100), np.uint8)
    kept = ImageCache().get("tile", lambda: sheet[:10, :10])
    assert kept.base is None  # the sheet is not held by its tile
    with pytest.raises(ValueError, match="read-only"):
        kept[0, 0] = 1


def test_scenes_share_the_room_without_mixing_their_images():
    cache = ImageCache()
    first, second = (SceneViews(MemoryScene(name=name), images=cache) for name in ("a", "b"))
    second.scene.image = lambda image_id: np.zeros((32, 48, 3), np.uint8)
    assert first.query("view_0").images.max() > 0
    assert second.query("view_0").images.max() == 0
    assert cache.bytes == 2 * 32 * 48 * (3 + 1)


def test_a_cache_can_be_sent_to_another_process():
    cache = ImageCache()
    cache.get("a", picture(1))
    assert pickle.loads(pickle.dumps(cache)).bytes == 2**16
