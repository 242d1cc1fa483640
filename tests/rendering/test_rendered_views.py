"""Rendered views: the right pixels in the right place, pictures that read back, and nothing rendered twice."""

import cv2
import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.render_cache import RenderCache
from maskrf_core.rendering.rendered_views import (
    PixelRenderer,
    RenderedView,
    render_view,
    rendered_views,
    spread,
    write_pictures,
)
from maskrf_core.settings.sections import ModelSettings
from tests.datasets.memory_scene import MemoryScene


@pytest.fixture(scope="module")
def renderer():
    torch.manual_seed(0)
    return Renderer(ModelSettings(coarse_samples=6, fine_samples=3)).eval()


@pytest.fixture
def views():
    return SceneViews(MemoryScene(height=37, width=50))  # not a multiple of anything


@pytest.fixture
def chunks(monkeypatch):
    """A list that grows by one with every picture that is really rendered."""
    rendered, render_chunks = [], Renderer.render_chunks

    def counted(self, features, rays, *how):
        rendered.append(len(rays.directions))
        return render_chunks(self, features, rays, *how)

    monkeypatch.setattr(Renderer, "render_chunks", counted)
    return rendered


def test_pictures_have_the_query_size_and_are_the_rays_in_order(renderer, views):
    batch = evaluation_batch(views, "view_0", ["view_1", "view_2", "view_3"], 3)
    view = render_view(PixelRenderer(renderer, 200), batch, "memory", "view_0")
    assert view.truth.shape == view.fine.shape == view.coarse.shape == (37, 50, 3)
    np.testing.assert_allclose(view.truth, views.scene.image("view_0") / 255, atol=1e-6)
    whole = renderer.render(batch, 10_000).fine
    np.testing.assert_allclose(view.fine[12, 34], whole.rgb[12 * 50 + 34].clip(0, 1), atol=1e-5)
    np.testing.assert_allclose(view.fine_depth[12, 34], whole.depth[12 * 50 + 34], rtol=1e-4)
    assert view.depth_range == (2.0, 4.0)


def test_size_of_chunks_changes_nothing(renderer, views):
    batch = evaluation_batch(views, "view_0", ["view_1", "view_2", "view_3"], 3)
    first, second = (render_view(PixelRenderer(renderer, size), batch, "memory", "view_0").fine for size in (64, 1850))
    np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("working_views", [1, 2, 5])
def test_any_number_of_working_views(renderer, views, working_views):
    (view,) = rendered_views(renderer, [views], "test", working_views, None, 4096)
    assert np.isfinite(view.fine).all()


def test_written_pictures_read_back(tmp_path):
    rng = np.random.default_rng(0)
    truth, fine = rng.random((2, 8, 9, 3)).astype(np.float32)
    depth = np.linspace(1, 2, 72, dtype=np.float32).reshape(8, 9)
    write_pictures(RenderedView("demo/test_00", "view_02", truth, fine, fine, depth, depth, (1.0, 2.0)), tmp_path)
    folder = tmp_path / "demo_test_00"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"view_02_{kind}.png" for kind in ("coarse", "depth", "error", "fine", "truth")
    ]
    read = cv2.imread(str(folder / "view_02_fine.png"))[..., ::-1] / 255
    np.testing.assert_allclose(read, fine, atol=0.51 / 255)
    shade = cv2.imread(str(folder / "view_02_depth.png"))[..., 0]
    assert shade[0, 0] == 255  # near is bright
    assert shade[-1, -1] == 0


def test_spread_takes_the_first_and_even_steps():
    assert spread(["a", "b", "c", "d"], 2) == ["a", "c"]
    assert spread(["a", "b"], None) == spread(["a", "b"], 5) == ["a", "b"]


def test_what_was_rendered_is_read_to_the_bit(renderer, views, tmp_path, chunks):
    cache = RenderCache(tmp_path, 10)
    asked = ([views], "test", 3, None, 500)
    (plain,), (first,), (second,) = (
        rendered_views(renderer, *asked, cache=kept) for kept in (None, cache, RenderCache(tmp_path, 10))
    )
    assert chunks == [37 * 50] * 2  # not a third time
    for name in ("truth", "coarse", "fine", "coarse_depth", "fine_depth"):
        assert getattr(plain, name).tobytes() == getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert plain.depth_range == second.depth_range


def test_a_changed_weight_is_rendered_anew(views, tmp_path, chunks):
    torch.manual_seed(1)
    renderer = Renderer(ModelSettings(coarse_samples=4, fine_samples=2)).eval()
    cache = RenderCache(tmp_path, 10)
    batch = evaluation_batch(views, "view_0", ["view_1", "view_2"], 2)
    before = PixelRenderer(renderer, 4096, cache)(batch)
    with torch.no_grad():
        renderer.fine.aggregation.density[0].weight[0, 0] += 0.5
    after = PixelRenderer(renderer, 4096, cache)(batch)
    assert len(chunks) == 2
    assert not np.array_equal(before["fine"], after["fine"])


@pytest.mark.parametrize("damage", ["cut", "emptied", "changed", "removed"])
def test_a_damaged_file_is_rendered_again_and_mended(renderer, views, tmp_path, chunks, damage):
    cache = RenderCache(tmp_path, 10)
    render = PixelRenderer(renderer, 4096, cache)
    batch = evaluation_batch(views, "view_0", ["view_1", "view_2"], 2)
    expected = render(batch)
    (path,) = tmp_path.rglob("*.val")
    whole = path.read_bytes()
    harmed = {"cut": whole[: len(whole) // 2], "emptied": b"", "changed": whole.replace(b"fine", b"fime")}
    path.write_bytes(harmed[damage]) if damage in harmed else path.unlink()
    again = render(batch)
    assert len(chunks) == 2
    assert all(np.array_equal(expected[name], again[name]) for name in expected)
    assert cache.get(render.key(batch)) is not None
