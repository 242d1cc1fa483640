"""The render cache: what comes out is what went in, or nothing; and it stays within its room."""

import os
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import evaluate
from maskrf_core.rendering.render_cache import RenderCache, open_render_cache
from maskrf_core.settings.sections import ModelSettings

KEYS = [f"{number:02x}" * 32 for number in range(20)]


def pictures(seed=0, side=8):
    rng = np.random.default_rng(seed)
    return {
        "fine": rng.normal(size=(side, side, 3)).astype(np.float32),
        "fine_depth": np.array([[np.nan, np.inf], [-0.0, 1e-45]], np.float32),
    }


def same(one, other):
    return one.keys() == other.keys() and all(
        (one[name].dtype, one[name].shape, one[name].tobytes())
        == (other[name].dtype, other[name].shape, other[name].tobytes())
        for name in one
    )


def test_what_comes_out_is_what_went_in_bit_for_bit(tmp_path):
    cache = RenderCache(tmp_path, 1)
    assert cache.get(KEYS[1]) is None
    cache.put(KEYS[1], pictures())
    assert same(RenderCache(tmp_path, 1).get(KEYS[1]), pictures())
    assert cache.get(KEYS[2]) is None
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*")] == [f"01/{KEYS[1]}.npz"]


def test_a_file_under_another_name_is_not_taken_for_it(tmp_path):
    cache = RenderCache(tmp_path, 1)
    cache.put(KEYS[1], pictures())
    cache.path(KEYS[2]).parent.mkdir()
    shutil.copy(cache.path(KEYS[1]), cache.path(KEYS[2]))
    assert cache.get(KEYS[2]) is None


def test_other_arrays_under_the_same_name_are_not_taken_for_it(tmp_path):
    cache = RenderCache(tmp_path, 1)
    cache.path(KEYS[1]).parent.mkdir()
    np.savez(cache.path(KEYS[1]), **pictures())  # whole, but without a checksum
    assert cache.get(KEYS[1]) is None
    np.savez(cache.path(KEYS[1]), fine=np.array([{}], dtype=object), allow_pickle=True)
    assert cache.get(KEYS[1]) is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_seen_or_harmless(tmp_path, data):
    cache = RenderCache(tmp_path, 1)
    cache.put(KEYS[1], pictures())
    whole = cache.path(KEYS[1]).read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    harm = data.draw(st.sampled_from(["flip", "cut", "zeros", "insert"]))
    length = data.draw(st.integers(1, 64))
    harmed = {
        "flip": whole[:at] + bytes([whole[at] ^ (1 << length % 8)]) + whole[at + 1 :],
        "cut": whole[:at],
        "zeros": whole[:at] + bytes(length) + whole[at + length :],
        "insert": whole[:at] + b"\x01" * length + whole[at:],
    }[harm]
    cache.path(KEYS[1]).write_bytes(harmed)
    found = cache.get(KEYS[1])
    assert found is None or same(found, pictures())


def ages(cache, *keys):
    """Last used in this order, long ago."""
    for age, key in enumerate(keys):
        os.utime(cache.path(key), ns=(10**9 * age, 10**9 * age))


def kept(cache):
    return [key for key in KEYS if cache.path(key).is_file()]


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    size = 40 * 40 * 12 + 1000
    cache = RenderCache(tmp_path, 5 * size / 2**20)
    for key in KEYS[:5]:
        cache.put(key, pictures(side=40))
    assert kept(cache) == KEYS[:5]
    ages(cache, *KEYS[:5])
    assert cache.get(KEYS[0]) is not None  # used again
    cache.put(KEYS[5], pictures(side=40))
    assert kept(cache) == [KEYS[0], *KEYS[3:6]]  # down to nine tenths, so that not each one prunes
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= cache.limit


def test_a_smaller_room_is_made_at_the_first_rendering(tmp_path):
    large = RenderCache(tmp_path, 1)
    for key in KEYS[:8]:
        large.put(key, pictures(side=40))
    (tmp_path / "00" / f".{KEYS[0]}.npz.left").write_bytes(bytes(10**5))  # by an interrupted writer
    os.utime(tmp_path / "00" / f".{KEYS[0]}.npz.left", ns=(0, 0))
    ages(large, *KEYS[:8])
    small = RenderCache(tmp_path, 50_000 / 2**20)
    small.put(KEYS[8], pictures(side=40))
    assert kept(small) == KEYS[7:9]
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 50_000


def test_what_is_larger_than_the_room_is_not_kept(tmp_path):
    cache = RenderCache(tmp_path, 0.001)
    cache.put(KEYS[0], pictures(side=40))
    assert kept(cache) == []


def test_a_folder_that_cannot_be_written_costs_one_message(tmp_path, capsys):
    (tmp_path / "renders").write_text("no folder")
    cache = RenderCache(tmp_path / "renders", 1)
    for key in KEYS[:3]:
        cache.put(key, pictures())
        assert cache.get(key) is None
    assert capsys.readouterr().out.count("renderings are not kept") == 1


def test_no_room_is_no_cache(tmp_path):
    assert open_render_cache(tmp_path, 0) is None
    assert open_render_cache(tmp_path, 1).folder == tmp_path / "cache" / "renders"


@pytest.fixture
def rendered(monkeypatch):
    calls, render_chunks = [], Renderer.render_chunks
    monkeypatch.setattr(
        Renderer, "render_chunks", lambda self, *asked: (calls.append(1), render_chunks(self, *asked))[1]
    )
    return calls


def test_evaluate_renders_what_is_new_only_and_gives_the_same_numbers(tmp_path, rendered):
    renderer = Renderer(ModelSettings(coarse_samples=4, fine_samples=1))
    asked = {"working_views": 2, "rays_per_chunk": 4096, "data_root": tmp_path}
    plain = evaluate(renderer, ["demo/test_00"], views_per_scene=1, cache=False, **asked)
    assert not (tmp_path / "cache").exists()
    first = evaluate(renderer, ["demo/test_00"], views_per_scene=1, **asked)
    assert len(rendered) == 2
    again = evaluate(renderer, ["demo/test_00"], views_per_scene=1, **asked)
    assert len(rendered) == 2
    evaluate(renderer, ["demo/test_00"], views_per_scene=2, **asked)
    assert len(rendered) == 3
    evaluate(renderer, ["demo/test_00"], views_per_scene=1, render_cache_mib=0, **asked)
    assert len(rendered) == 4
    evaluate(renderer, ["demo/test_00"], views_per_scene=1, **(asked | {"working_views": 3}))
    assert len(rendered) == 5
    assert plain.equals(first)
    assert first.equals(again)
