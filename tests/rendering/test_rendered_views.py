"""Rendered views: the right pixels in the right place, pictures that read back, and nothing rendered twice."""

import cv2
import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.per_scene_renderer import for_one_scene
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import validate
from maskrf_core.rendering.render_cache import RenderCache
from maskrf_core.rendering.rendered_views import (
    PixelRenderer,
    RenderedView,
    render_view,
    rendered_views,
    write_pictures,
)
from maskrf_core.settings.sections import ModelSettings, RenderingSettings
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


@pytest.fixture
def batches(monkeypatch):
    """A list of all batches whose pictures are rendered."""
    seen, render = [], PixelRenderer._render
    monkeypatch.setattr(PixelRenderer, "_render", lambda self, batch: seen.append(batch) or render(self, batch))
    return seen


def ranges_of(batch):
    return torch.cat([batch.query.depth_range, batch.references.depth_range]).tolist()


OWN = [[2, 4], [2, 5], [2, 6], [2, 7]]  # of view 0 and the 3 nearest to it


def test_ranges_are_consistent_in_validation_and_the_views_own_elsewhere(renderer, views, batches):
    asked = {"working_views": 3, "views_per_scene": 1, "rays_per_chunk": 4096}
    views.scene.split = lambda kind: (views.scene.image_ids[1:], views.scene.image_ids[:1])
    validate(renderer, [views], "validation", **asked)
    validate(renderer, [views], "test", **asked)
    list(rendered_views(renderer, [views], "validation", *asked.values()))
    assert [ranges_of(batch) for batch in batches] == [
        [[1, 6], [1, 6], [1.5, 6.5], [2, 7]],
        OWN,
        OWN,
    ]


def test_a_renderer_of_one_scene_sees_one_range_of_all_training_views(renderer, views, batches):
    special = for_one_scene(renderer, views)
    list(rendered_views(special, [views], "test", 3, 1, 4096))
    assert ranges_of(batches[0]) == [[2, 9]] * 4  # (2, 4 + i) of views 1 to 5
    free = special.settings.free_maps.model_copy(update={"shared_depth_range": False})
    special.settings = special.settings.model_copy(update={"free_maps": free})
    list(rendered_views(special, [views], "test", 3, 1, 4096))
    assert ranges_of(batches[1]) == OWN  # as it was trained, before ranges were shared


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("before", [True, False])
def test_convolutions_are_rounded_on_a_gpu_as_the_rendering_s_precision_says(
    renderer, views, monkeypatch, precision, before
):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    seen, encode = [], Renderer.encode

    def encoded(self, *views):
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        return encode(self, *views)

    monkeypatch.setattr(Renderer, "encode", encoded)
    rendering = RenderingSettings(precision=precision)
    list(rendered_views(renderer, [views], "test", 3, 1, 4096, rendering=rendering))
    assert seen == [(precision == "bf16-mixed", False)]
    assert torch.backends.cudnn.allow_tf32 == before
