"""The guide and the thinned fine pass: exact where nothing is left out, and no pixel depends on the others."""

import math
from dataclasses import replace

import pytest
import torch

from maskrf_core.datasets.batches.evaluation_batches import all_pixels
from maskrf_core.model.fast.adaptive_rendering import AdaptiveSettings, nodes_around, render_chunks_adaptively
from maskrf_core.model.gathering import ReferenceFeatures
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import PassRendering, Rendering, concatenate
from maskrf_core.settings.sections import ModelSettings
from tests.model.tiny import fill_by_formula, tiny_batch, tiny_renderer, tiny_views

EVERYTHING = AdaptiveSettings(grid=1, samples=96)
QUERY = tiny_views([0.03])
PIXELS = torch.tensor([[5.0, 4], [46, 30], [47, 31], [0, 0], [47, 3], [20, 17], [21, 17], [20, 18]])
"""Corners of the picture of 48×32 among them."""


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return tiny_renderer()


@pytest.fixture(scope="module")
def features(renderer: Renderer) -> ReferenceFeatures:
    with torch.no_grad():
        return renderer.encode(tiny_batch().references)


def rendered(renderer: Renderer, features: ReferenceFeatures, pixels=PIXELS, chunk: int = 99, saving=None) -> Rendering:
    saving = saving or AdaptiveSettings()
    return concatenate(list(render_chunks_adaptively(renderer, features, QUERY, pixels, chunk, saving)))


def assert_same(ours: PassRendering, theirs: PassRendering, tolerance: float = 1e-5):
    for name, value in vars(ours).items():
        torch.testing.assert_close(value, getattr(theirs, name), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("direct_rendering", [False, True])
def test_leaving_out_nothing_is_the_exact_mode(direct_rendering: bool):
    settings = ModelSettings(coarse_samples=12, fine_samples=6, direct_rendering=direct_rendering)
    renderer = Renderer(settings).eval()
    fill_by_formula(renderer)
    batch = replace(tiny_batch(), pixels_xy=PIXELS)
    exact = renderer.render(batch)
    with torch.no_grad():
        features = renderer.encode(batch.references)
    ours = rendered(renderer, features, saving=EVERYTHING)
    assert (ours.fine.direct_rgb is not None) == direct_rendering
    assert_same(ours.coarse, exact.coarse, 1e-6)
    assert_same(ours.fine, exact.fine, 1e-6)


def test_a_guide_without_thinning_is_exact_at_its_nodes(renderer: Renderer, features: ReferenceFeatures):
    nodes = PIXELS[(PIXELS % 2 == 0).all(dim=1)]
    assert len(nodes) > 2
    exact = renderer.render(replace(tiny_batch(), pixels_xy=nodes))
    ours = rendered(renderer, features, nodes, saving=AdaptiveSettings(grid=2, samples=18))
    assert_same(ours.coarse, exact.coarse)
    assert_same(ours.fine, exact.fine)


def test_the_coarse_picture_is_interpolated(renderer: Renderer, features: ReferenceFeatures):
    between, around = torch.tensor([[4.0, 9]]), torch.tensor([[3.0, 9], [6, 9]])
    one, two = (
        rendered(renderer, features, pixels, saving=AdaptiveSettings(grid=3)).coarse for pixels in (between, around)
    )
    shares = torch.tensor([2 / 3, 1 / 3])
    for name in ("rgb", "depth", "hit_probability"):
        torch.testing.assert_close(getattr(one, name)[0], torch.tensordot(shares, getattr(two, name), dims=1))
    assert torch.equal(one.sample_depths[0], two.sample_depths[1])
    assert one.ray_mask.tolist() == [bool(two.ray_mask.all())]


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_chunks_change_nothing(renderer: Renderer, features: ReferenceFeatures, chunk: int):
    whole, parts = rendered(renderer, features), rendered(renderer, features, chunk=chunk)
    assert_same(parts.coarse, whole.coarse)
    assert_same(parts.fine, whole.fine)
    assert not parts.fine.rgb.requires_grad
    chunks = render_chunks_adaptively(renderer, features, QUERY, PIXELS, chunk)
    assert [torch.is_inference_mode_enabled() for _ in chunks] == [False] * -(-len(PIXELS) // chunk)


def test_other_pixels_change_nothing(renderer: Renderer, features: ReferenceFeatures):
    every = rendered(renderer, features, all_pixels(32, 48), 500)
    assert every.fine.rgb.isfinite().all()
    some = rendered(renderer, features)
    index = (PIXELS[:, 1] * 48 + PIXELS[:, 0]).long()
    for ours, theirs in ((some.coarse, every.coarse), (some.fine, every.fine)):
        for name, value in vars(ours).items():
            if value is not None:
                torch.testing.assert_close(value, getattr(theirs, name)[index], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "saving", [AdaptiveSettings(2, 5), AdaptiveSettings(grid=64, samples=1), AdaptiveSettings(grid=3, samples=8)]
)
def test_few_samples_of_full_weight(renderer: Renderer, features: ReferenceFeatures, saving: AdaptiveSettings):
    """Also where the picture is smaller than the grid, and where one sample stands for all."""
    fine = rendered(renderer, features, saving=saving).fine
    assert fine.hit_probability.shape == fine.sample_depths.shape == (len(PIXELS), saving.samples)
    assert (fine.sample_depths.diff(dim=1) >= 0).all()
    assert (fine.hit_probability.sum(dim=1) <= 1 + 1e-5).all()
    assert ((fine.rgb >= 0) & (fine.rgb <= 1)).all()


def test_the_picture_stays_near_the_exact_one():
    """With many samples, of which one in two is looked at."""
    renderer, batch = tiny_renderer(64, 32), replace(tiny_batch(), pixels_xy=PIXELS)
    with torch.no_grad():
        features = renderer.encode(batch.references)
    exact, ours = renderer.render(batch), rendered(renderer, features, saving=AdaptiveSettings(grid=2, samples=48))
    assert (ours.fine.rgb - exact.fine.rgb).abs().max() < 0.1
    assert (ours.fine.rgb - exact.fine.rgb).abs().max() > 0


@pytest.mark.parametrize("grid", [1, 2, 3, 7])
def test_nodes_against_a_loop(grid: int):
    """A function that is bilinear within the cells is interpolated exactly, between pixels and outside as well."""
    pixels = torch.cat([PIXELS, torch.tensor([[0.25, 3.5], [-1.5, 2], [47.5, 31.5]])])
    nodes, *places = nodes_around(pixels, grid)
    seen = set()
    for pixel, corners, weights in zip(pixels.tolist(), *places, strict=True):
        lower = [grid * math.floor(value / grid) for value in pixel]
        upper = [grid * math.ceil(value / grid) for value in pixel]
        around = nodes[corners]
        expected = {(x, y) for x in (lower[0], upper[0]) for y in (lower[1], upper[1])}
        assert {tuple(node) for node in around.tolist()} == expected
        seen |= expected
        assert weights.sum().item() == pytest.approx(1)
        x, y = around.unbind(dim=1)
        assert (weights * (x * y + 2 * x - y)).sum().item() == pytest.approx(
            pixel[0] * pixel[1] + 2 * pixel[0] - pixel[1], abs=1e-3
        )
    assert len(nodes) == len(seen)  # every node once, and none in vain
