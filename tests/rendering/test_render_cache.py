"""The render cache: what comes out is what went in, or nothing; and keys differ where anything differs."""

import pickle
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import diskcache
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering import render_cache
from maskrf_core.rendering.evaluation import evaluate
from maskrf_core.rendering.render_cache import RenderCache, render_key, renderer_digest, renders_folder
from maskrf_core.settings.sections import ModelSettings, RenderingSettings
from tests.datasets.memory_scene import MemoryScene
from tests.harm import harmed
from tests.other_users import of_another_user
from tests.tiers import draws

KEYS = [f"{number:02x}" * 32 for number in range(40)]
SETTINGS = ModelSettings(coarse_samples=5, fine_samples=3)


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


def entries(folder):
    """Rows of the store, by what SQLite says."""
    with closing(sqlite3.connect(folder / "cache.db")) as database:
        return dict(database.execute("SELECT key, filename FROM Cache"))


def bytes_below(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("side", [8, 100])
def test_what_comes_out_is_what_went_in_bit_for_bit(tmp_path, side):
    """Small ones lie in the database, large ones in files of their own."""
    cache = RenderCache(tmp_path, 1)
    assert cache.get(KEYS[1]) is None
    cache.put(KEYS[1], pictures(side=side))
    assert same(RenderCache(tmp_path, 1).get(KEYS[1]), pictures(side=side))
    assert cache.get(KEYS[2]) is None


def test_a_rendering_under_another_key_is_not_taken_for_it(tmp_path, capsys):
    RenderCache(tmp_path, 1).put(KEYS[1], pictures())
    with closing(sqlite3.connect(tmp_path / "cache.db")) as database, database:
        database.execute("UPDATE Cache SET key = ?", (KEYS[2],))
    assert RenderCache(tmp_path, 1).get(KEYS[2]) is None
    assert "is damaged, and is made again" in capsys.readouterr().out


class Harmful:
    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


def test_nothing_is_unpickled(tmp_path):
    with diskcache.Cache(tmp_path) as store:
        for key in KEYS[:2]:
            store[key] = pickle.dumps(0)
    with closing(sqlite3.connect(tmp_path / "cache.db")) as database, database:
        harm = (sqlite3.Binary(pickle.dumps(Harmful())), KEYS[1])
        database.execute("UPDATE Cache SET mode = 4, value = ? WHERE key = ?", harm)
    assert RenderCache(tmp_path, 1).get(KEYS[0]) is None
    assert RenderCache(tmp_path, 1).get(KEYS[1]) is None


@pytest.mark.parametrize("where", ["cache.db", "value"])
@settings(max_examples=draws(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_seen_or_harmless(tmp_path, where, data):
    folder, expected = tmp_path / "renders", pictures(side=60)
    shutil.rmtree(folder, ignore_errors=True)
    RenderCache(folder, 1).put(KEYS[1], expected)
    path = folder / (entries(folder)[KEYS[1]] if where == "value" else where)
    path.write_bytes(harmed(data, path.read_bytes()))
    cache = RenderCache(folder, 1)
    for _ in range(2):
        found = cache.get(KEYS[1])
        assert found is None or same(found, expected)
        cache.put(KEYS[1], expected)


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    cache = RenderCache(tmp_path, 1.2)
    for key in KEYS[:7]:
        cache.put(key, pictures(side=100))  # 120 kB
    assert cache.get(KEYS[0]) is not None  # used again
    for key in KEYS[7:12]:
        cache.put(key, pictures(side=100))
    kept = entries(tmp_path).keys()
    assert KEYS[0] in kept
    assert KEYS[1] not in kept
    assert KEYS[11] in kept
    assert len(kept) >= 7
    assert bytes_below(tmp_path) <= cache.limit


def test_a_smaller_room_is_made_at_the_first_rendering(tmp_path):
    large = RenderCache(tmp_path, 10)
    for key in KEYS[:30]:
        large.put(key, pictures(side=100))
    small = RenderCache(tmp_path, 1.2)
    small.put(KEYS[30], pictures(side=100))
    assert bytes_below(tmp_path) <= small.limit


def test_what_is_larger_than_the_room_is_not_kept(tmp_path):
    cache = RenderCache(tmp_path, 0.001)
    cache.put(KEYS[0], pictures(side=40))
    assert cache.get(KEYS[0]) is None


def test_a_folder_that_cannot_be_written_costs_one_message(tmp_path, capsys):
    (tmp_path / "renders").write_text("no folder")
    cache = RenderCache(tmp_path / "renders", 1)
    for key in KEYS[:3]:
        cache.put(key, pictures())
        assert cache.get(key) is None
    assert capsys.readouterr().out.count("renderings are not kept") == 1


def test_renderings_of_another_user_are_not_written_to(tmp_path):
    (tmp_path / "cache/renders").mkdir(parents=True)
    assert renders_folder(tmp_path / "cache") == tmp_path / "cache/renders"
    with of_another_user(tmp_path / "cache", tmp_path / "own") as own:
        assert renders_folder(tmp_path / "cache").is_relative_to(own)
    with pytest.MonkeyPatch.context() as patch:  # a folder that both may write to, with files that only one may
        patch.setattr("os.geteuid", lambda: 12345)
        folder = renders_folder(tmp_path / "cache")
        assert folder.parent == tmp_path / "cache"
        assert folder.name != "renders"


def test_several_processes_share_a_folder(tmp_path):
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\n"
        "from maskrf_core.rendering.render_cache import RenderCache\n"
        "cache = RenderCache(Path(sys.argv[1]), 4)\n"
        "for key in range(40):\n"
        "    found = cache.get(str(key))\n"
        "    assert found is None or (found['a'] == key).all()\n"
        "    cache.put(str(key), {'a': np.full((120, 120), key, np.float32)})\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE) for _ in range(2)]
    assert [child.communicate()[0] for child in children] == [b"", b""]
    assert [child.returncode for child in children] == [0, 0]
    assert len(entries(tmp_path)) == 40


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
    plain = evaluate(renderer, ["demo/test_00"], views_per_scene=1, render_cache_mib=0, **asked)
    assert not (tmp_path / "cache").exists()
    first = evaluate(renderer, ["demo/test_00"], views_per_scene=1, **asked)
    assert len(rendered) == 2
    assert len(entries(tmp_path / "cache" / "renders")) == 1
    again = evaluate(renderer, ["demo/test_00"], views_per_scene=1, **asked)
    assert len(rendered) == 2
    evaluate(renderer, ["demo/test_00"], views_per_scene=2, **asked)
    assert len(rendered) == 3
    evaluate(renderer, ["demo/test_00"], views_per_scene=1, **(asked | {"working_views": 3}))
    assert len(rendered) == 4
    assert plain.equals(first)
    assert first.equals(again)


def new_renderer(settings=SETTINGS):
    torch.manual_seed(0)
    return Renderer(settings).eval()


def new_batch(references=("view_1", "view_2", "view_3"), working_views=3):
    return evaluation_batch(SceneViews(MemoryScene()), "view_0", list(references), working_views)


def key_of(batch, rays_per_chunk=64, of_renderer="renderer", **rendering):
    return render_key(of_renderer, batch, rays_per_chunk, RenderingSettings(**rendering))


def test_the_same_has_the_same_key():
    assert renderer_digest(new_renderer()) == renderer_digest(new_renderer())
    assert key_of(new_batch()) == key_of(new_batch())


@pytest.mark.parametrize("asked", [{"mode": "adaptive"}, {"precision": "bf16-mixed"}, {"compile": True}])
def test_how_it_is_rendered_counts(asked):
    batch = new_batch()
    assert key_of(batch, **asked) != key_of(batch)


def test_chunks_and_renderer_count():
    batch = new_batch()
    assert len({key_of(batch), key_of(batch, 65), key_of(batch, 64, "another")}) == 3


def test_every_weight_counts():
    renderer = new_renderer()
    digests = {renderer_digest(renderer)}
    tensors = [tensor for tensor in renderer.state_dict().values() if tensor.is_floating_point()]
    for tensor in tensors[:: max(1, len(tensors) // 12)]:
        with torch.no_grad():
            tensor.view(-1)[-1] += 1
        digests.add(renderer_digest(renderer))
    assert len(digests) >= 13


def test_samples_networks_and_mode_count():
    swapped = new_renderer()
    swapped.fine.aggregation.density[1] = torch.nn.ReLU()  # without weights, in place of another activation
    digests = [
        renderer_digest(renderer)
        for renderer in (
            new_renderer(),
            new_renderer(ModelSettings(coarse_samples=6, fine_samples=3)),
            new_renderer(ModelSettings(coarse_samples=5, fine_samples=4)),
            new_renderer().train(),
            new_renderer().double(),
            swapped,
        )
    ]
    assert len(set(digests)) == len(digests)


def test_the_code_counts(monkeypatch, tmp_path):
    for folder in ("model", "rendering"):
        (tmp_path / folder).mkdir()
    rendering = [f"rendering/{name}.py" for name in ("chunk_renderer", "rendered_views", "render_cache")]
    for name in ("model/a.py", "cameras.py", *rendering, "losses.py"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(render_cache, "PACKAGE", tmp_path)
    digests = [render_cache.source_digest()]
    for name in ("model/a.py", "cameras.py", *rendering[:2], "losses.py"):
        (tmp_path / name).write_text("other")
        digests.append(render_cache.source_digest())
    (tmp_path / "model" / "b.py").touch()
    digests.append(render_cache.source_digest())
    assert digests[-2] == digests[-3]  # losses render nothing
    assert len(set(digests)) == 6


def test_code_that_changed_since_it_was_imported_is_never_taken_for_the_same(monkeypatch):
    renderer = new_renderer()
    monkeypatch.setattr(render_cache, "source_digest", lambda: "edited meanwhile")
    assert renderer_digest(renderer) != renderer_digest(renderer)


def test_networks_from_elsewhere_are_never_taken_for_the_same():
    class Own(torch.nn.ELU):
        pass

    renderer = new_renderer()
    assert renderer_digest(renderer) == renderer_digest(renderer)
    renderer.fine.aggregation.density[1] = Own()
    assert renderer_digest(renderer) != renderer_digest(renderer)


def test_the_renderer_looks_at_nothing_of_the_query_but_its_camera():
    batch, renderer = new_batch(), new_renderer()
    blind = replace(batch, query=batch.query.replace(images=torch.zeros_like(batch.query.images), masks=None))
    np.testing.assert_array_equal(renderer.render(batch).fine.rgb, renderer.render(blind).fine.rgb)
