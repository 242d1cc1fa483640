"""Any number of reference views, whatever number it was trained with: few-shot evaluation, and what must not change."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskrf_core.cameras import camera_centres
from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import open_scene
from maskrf_core.model.gathering import query_colours
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import evaluate
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import DatasetError, SettingsError
from maskrf_core.training.trainer import fit
from tests.model.tiny import fill_by_formula, tiny_batch, tiny_views

SCENE = "demo/test_00"


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    """With the direct head, so that both ways of rendering are looked at."""
    renderer = Renderer(ModelSettings(coarse_samples=10, fine_samples=5, direct_rendering=True))
    fill_by_formula(renderer)
    return renderer.eval()


def joined(*parts: Views) -> Views:
    names = ("images", "K", "w2c", "depth_range", "depths")
    return Views(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def ordered(views: Views, order: list[int]) -> Views:
    names = ("images", "K", "w2c", "depth_range", "depths")
    return Views(**{name: getattr(views, name)[order] for name in names})


@torch.no_grad()
def rendered(renderer: Renderer, batch: SceneBatch, references: Views):
    return renderer(replace(batch, references=references), mask_ratio=0.0)


@pytest.mark.parametrize("working_views", [1, 2, 3, 12])
def test_evaluation_renders_from_so_many_views(monkeypatch, working_views: int):
    """The nearest cameras, each once; and the numbers are those of that picture."""
    renderer = Renderer(ModelSettings(coarse_samples=6, fine_samples=3))
    fill_by_formula(renderer)
    seen = []
    encode = renderer.encode
    monkeypatch.setattr(renderer, "encode", lambda *given: (seen.append(given[0]), encode(*given))[1])
    table = evaluate(renderer, [SCENE], working_views=working_views, views_per_scene=1, render_cache_mib=0)
    assert len(table) == len(seen) == 1
    assert np.isfinite(table[["coarse_psnr", "coarse_ssim", "fine_psnr", "fine_ssim"]]).all(axis=None)
    views = SceneViews(open_scene(SCENE))
    references, queries = views.scene.split("test")
    centres = camera_centres(views.load([queries[0], *references]).w2c)
    distances = (centres[1:] - centres[0]).norm(dim=-1)
    nearest = camera_centres(seen[0].w2c)
    assert len(nearest) == working_views
    torch.testing.assert_close((nearest - centres[0]).norm(dim=-1), distances.sort().values[:working_views])
    assert len(nearest.unique(dim=0)) == working_views


@pytest.mark.parametrize("fewer", [1, 2, 3])
def test_each_further_view_counts(renderer, fewer: int):
    one, other = (
        rendered(renderer, tiny_batch(), ordered(tiny_batch().references, list(range(n)))) for n in (fewer, 4)
    )
    assert (one.fine.rgb - other.fine.rgb).abs().max() > 0.02
    assert (one.fine.direct_rgb - other.fine.direct_rgb).abs().max() > 0.02


def test_more_views_than_there_are_is_said(renderer):
    with pytest.raises(DatasetError, match=r"17 working views are asked for, but only 16 .*Set working_views to 16"):
        evaluate(renderer, [SCENE], working_views=17)


@pytest.mark.parametrize("working_views", [1, 3, 5])
def test_the_order_in_which_a_scene_lists_its_views_is_nothing(working_views: int):
    views = SceneViews(open_scene(SCENE))
    references, queries = views.scene.split("test")
    one, other = (
        evaluation_batch(views, queries[0], listed, working_views) for listed in (references, references[::-1])
    )
    assert torch.equal(one.references.images, other.references.images)
    assert torch.equal(one.references.w2c, other.references.w2c)


@pytest.mark.parametrize(("count", "order"), [(2, [1, 0]), (3, [2, 0, 1]), (5, [3, 1, 4, 0, 2])])
def test_the_order_of_reference_views_is_nothing(renderer, count: int, order: list[int]):
    """Encoders included; rounding in a convolution may depend on the place in its batch."""
    batch = tiny_batch(views=count)
    one = rendered(renderer, batch, batch.references)
    other = rendered(renderer, batch, ordered(batch.references, order))
    for ours, theirs in ((one.coarse, other.coarse), (one.fine, other.fine)):
        torch.testing.assert_close(ours.rgb, theirs.rgb, atol=1e-3, rtol=0)
        torch.testing.assert_close(ours.direct_rgb, theirs.direct_rgb, atol=1e-3, rtol=0)
        torch.testing.assert_close(ours.depth, theirs.depth, atol=6e-3, rtol=0)
    swapped = rendered(renderer, batch, batch.references.replace(images=batch.references.images.roll(1, dims=0)))
    assert (swapped.fine.rgb - one.fine.rgb).abs().max() > 0.02  # which view has which picture does matter


def test_one_view_from_where_the_query_is(renderer):
    """All samples of a ray have the same colour, the photograph's: the pixel is that, as far as the ray is opaque."""
    batch = tiny_batch()
    rendering = rendered(renderer, batch, tiny_views([0.03]))
    truth = query_colours(batch.query, batch.pixels_xy)
    inside = truth.sum(dim=1) > 0  # some rays of this batch pass the picture
    assert inside.sum() == 8
    for part in (rendering.coarse, rendering.fine):
        opacity = part.hit_probability.sum(dim=1, keepdim=True)
        assert opacity[inside].min() > 0.1
        torch.testing.assert_close(part.rgb, truth * opacity, atol=1e-3, rtol=0)
        shares = part.direct_rgb[inside] / truth[inside]
        torch.testing.assert_close(shares, shares[:, :1].expand(-1, 3), atol=1e-2, rtol=0)
        assert shares.min() > 0.1
        assert (part.direct_rgb[~inside] == 0).all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_is_seen_twice_is_seen_no_differently(renderer, count: int):
    """Each view's features are its own, and the direct head weighs views relative to each other (+ 1e-3)."""
    batch = tiny_batch(views=count)
    twice = joined(batch.references, batch.references)
    with torch.no_grad():
        once, both = (renderer.encode(views).ray_features for views in (batch.references, twice))
    torch.testing.assert_close(both, torch.cat([once, once]), atol=2e-3, rtol=0)
    one, other = (rendered(renderer, batch, views).coarse for views in (batch.references, twice))
    torch.testing.assert_close(other.direct_rgb, one.direct_rgb, atol=1e-2, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_view_that_shows_nothing_of_it_changes_no_feature_and_no_direct_colour(renderer, count: int):
    batch = tiny_batch(views=count)
    elsewhere = tiny_views([0.4])
    w2c = elsewhere.w2c.clone()
    w2c[0, 1, 3] += 1000
    more = joined(batch.references, elsewhere.replace(w2c=w2c))
    with torch.no_grad():
        alone, with_it = (renderer.encode(views).ray_features for views in (batch.references, more))
    torch.testing.assert_close(with_it[:count], alone, atol=1e-3, rtol=0)
    one, other = (rendered(renderer, batch, views).coarse for views in (batch.references, more))
    torch.testing.assert_close(other.direct_rgb, one.direct_rgb, atol=1e-3, rtol=0)


@pytest.mark.parametrize("count", [1, 3])
def test_a_world_in_other_units_elsewhere_looks_the_same(renderer, count: int):
    """Three times as large and moved; not turned: directions are seen in the world's axes, as published."""
    batch = tiny_batch(views=count)
    shift = torch.tensor([0.3, -0.2, 0.5])

    def moved(views: Views) -> Views:
        w2c = views.w2c.clone()
        w2c[:, :, 3] = 3 * w2c[:, :, 3] - w2c[:, :, :3] @ shift
        return views.replace(w2c=w2c, depth_range=3 * views.depth_range, depths=3 * views.depths)

    one = rendered(renderer, batch, batch.references)
    other = rendered(renderer, replace(batch, query=moved(batch.query)), moved(batch.references))
    torch.testing.assert_close(other.coarse.rgb, one.coarse.rgb, atol=2e-3, rtol=0)
    torch.testing.assert_close(other.coarse.direct_rgb, one.coarse.direct_rgb, atol=2e-3, rtol=0)
    torch.testing.assert_close(other.coarse.depth, 3 * one.coarse.depth, atol=2e-2, rtol=0)


@pytest.fixture(scope="module")
def trained_with_five(tmp_path_factory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKRF_SMOKE", "1")
        asked = {"data.working_views": 5, "training.steps": 2, "hardware.data_workers": 0}
        run = Run.start(tmp_path_factory.mktemp("runs") / "five", load_config("pretrain", "demo", asked))
        fit(run)
        return run


@pytest.mark.parametrize("working_views", [1, 3])
def test_trained_with_five_views_evaluated_with_fewer(trained_with_five, working_views: int):
    table = evaluate(trained_with_five, [SCENE], working_views=working_views, views_per_scene=1)
    assert np.isfinite(table[["coarse_psnr", "fine_psnr", "fine_ssim"]]).all(axis=None)
    assert (table["fine_psnr"] > 3).all()


@pytest.mark.parametrize("working_views", [1, 2])
def test_training_with_so_few_says_why_not(tmp_path, monkeypatch, working_views: int):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    run = Run.start(tmp_path / "run", load_config("pretrain", "demo", {"data.working_views": working_views}))
    with pytest.raises(SettingsError, match="training needs more than 2 views"):
        fit(run)
