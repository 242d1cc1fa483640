"""Few views, no view, no depth, all masked: everything stays finite, forward and backward."""

from dataclasses import replace

import pytest
import torch

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.losses import colour_loss
from maskrf_core.model.gathering import query_colours, query_rays
from maskrf_core.model.masking.strategies import STRATEGIES
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import MaskingSettings, ModelSettings
from tests.model.tiny import depth_term, fill_by_formula, masked_terms, tiny_batch, tiny_renderer


def total_loss(renderer: Renderer, batch: SceneBatch, mask_ratio: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    features = renderer.encode(batch.references)
    rendering = renderer.render_rays(features, query_rays(batch), mask_ratio=mask_ratio, generator=generator)
    truth = query_colours(batch.query, batch.pixels_xy)
    pixels = torch.tensor([[3.0, 4], [20, 10], [0, 31]])
    passes = (rendering.coarse, rendering.fine)
    loss = sum(colour_loss(part.rgb, truth, torch.ones_like(part.ray_mask)) for part in passes)
    for render_pass in (renderer.coarse, renderer.fine):
        loss = loss + depth_term(render_pass, features, batch.references.depths, pixels)
    if rendering.masked is not None:
        assert rendering.masked.mask.shape == (len(batch.references), *rendering.fine.sample_depths.shape)
        loss = loss + sum(masked_terms(rendering.masked).values())
    return loss


def away(batch: SceneBatch) -> SceneBatch:
    """The query looks where no reference view does."""
    w2c = batch.query.w2c.clone()
    w2c[0, 1, 3] += 1000
    return SceneBatch(replace(batch.query, w2c=w2c), batch.references, batch.pixels_xy)


def depthless(batch: SceneBatch) -> SceneBatch:
    depths = torch.zeros_like(batch.references.depths)
    return SceneBatch(batch.query, replace(batch.references, depths=depths), batch.pixels_xy)


@pytest.mark.parametrize("mask_ratio", [0.0, 0.999])
@pytest.mark.parametrize(("views", "spoil"), [(1, None), (2, None), (3, None), (3, away), (1, away), (3, depthless)])
def test_edges_are_finite_forward_and_backward(views: int, spoil, mask_ratio: float):
    batch = tiny_batch(views=views, rays=4)
    batch = spoil(batch) if spoil else batch
    renderer = tiny_renderer(coarse_samples=6, fine_samples=4).train()
    loss = total_loss(renderer, batch, mask_ratio)
    assert loss.isfinite()
    loss.backward()
    gradients = [parameter.grad for parameter in renderer.parameters() if parameter.grad is not None]
    assert len(gradients) > 200
    assert all(gradient.isfinite().all() for gradient in gradients)


@torch.no_grad()
def test_a_ray_past_all_views_is_empty():
    rendering = tiny_renderer()(away(tiny_batch()), mask_ratio=0.0)
    for rendered in (rendering.coarse, rendering.fine):
        assert (rendered.rgb == 0).all()
        assert (rendered.depth == 0).all()
        assert not rendered.ray_mask.any()


SETTINGS = [
    *({"strategy": strategy} for strategy in STRATEGIES),
    {"target": "colour"},
    {"ema_target": False},
    {"projector": False},
    {"predictor": False},
    {"projector": False, "predictor": False},
]


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("mask_ratio", [pytest.param(1e-6, marks=pytest.mark.long), 0.999])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_kind_of_masking_is_finite_with_nothing_and_nearly_all_masked(settings: dict, mask_ratio, views: int):
    renderer = tiny_renderer(coarse_samples=6, fine_samples=4).train()
    renderer.masked_modelling.settings = MaskingSettings(**settings)
    loss = total_loss(renderer, tiny_batch(views=views, rays=4), mask_ratio)
    assert loss.isfinite()
    loss.backward()
    gradients = [parameter.grad for parameter in renderer.parameters() if parameter.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("views", [1, 3])
def test_the_direct_head_has_finite_gradients(views: int):
    renderer = Renderer(ModelSettings(coarse_samples=6, fine_samples=4, direct_rendering=True))
    fill_by_formula(renderer)
    rendering = renderer.train()(
        tiny_batch(views=views, rays=4), mask_ratio=0.5, generator=torch.Generator().manual_seed(0)
    )
    (rendering.coarse.direct_rgb.sum() + rendering.fine.direct_rgb.sum()).backward()
    for render_pass in (renderer.coarse, renderer.fine):
        assert render_pass.distribution_decoder.mean[0].weight.grad.abs().max() > 0
        assert all(parameter.grad is None for parameter in render_pass.aggregation.parameters())
    gradients = [parameter.grad for parameter in renderer.parameters() if parameter.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
