"""Gradients of the kernels are those of the plain pass."""

import pytest
import torch

from maskrf_core.model.renderer import RenderPass, volume_render
from maskrf_core.model.rendering import Mask
from tests.model.fast.kernel_cases import (
    DEVICE,
    features_of,
    mask_of,
    rays_of,
    render_pass,
    samples_of,
    thinned_samples_of,
)
from tests.model.tiny import scattered, tiny_batch, tiny_renderer

from maskrf_core.model.fast.kernel_pass import KernelPass  # isort: skip


def gradients(plain: RenderPass, computed, features, rays, samples, mask: Mask | None) -> dict[str, torch.Tensor]:
    """Gradients of a loss in which everything that a pass predicts has a part of its own."""
    plain.zero_grad()
    maps = features.maps.detach().clone(memory_format=torch.channels_last).requires_grad_()
    seen_by, points, _, composited = computed(features._replace(maps=maps), rays, samples, mask=mask)
    whole = composited or volume_render(points, samples.depths, seen_by.sum(1) > 8)
    parts = [*points, whole.rgb, whole.depth, whole.hit_probability]
    loss = sum(
        (part * scattered(part.numel(), order).view_as(part).to(DEVICE)).sum() for order, part in enumerate(parts)
    )
    loss.backward()
    found = {name: of.grad.clone() for name, of in plain.named_parameters() if of.grad is not None}
    return found | {"maps": maps.grad}


CASES = {
    "one view": (1, 3, 9),
    "two views": (2, 2, 17),
    "views that do not see": (3, 5, 7),
    "masked": (4, 3, 11),
    "masked by zeros": (4, 3, 11),
    "samples that stand for several": (3, 2, 10),
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_the_same(case: str):
    (views, rays, samples), plain = CASES[case], render_pass()
    of_samples = thinned_samples_of(rays, samples) if "stand for" in case else samples_of(rays, samples)
    mask = mask_of(views, rays, samples) if "masked" in case else None
    plain.aggregation.masks_by_zeros = "zeros" in case
    inputs = (features_of(views), rays_of(rays), of_samples, mask)
    expected, found = (gradients(plain, one, *inputs) for one in (plain, KernelPass(plain, "ieee")))
    zero = {name for name in found if name not in expected}
    assert all(found[name].abs().max() == 0 for name in zero)
    largest = max(gradient.norm() for gradient in expected.values())
    for name, gradient in expected.items():
        print(name, float((gradient - found[name]).norm() / gradient.norm()), float(gradient.norm()))
    for name, gradient in expected.items():
        assert (gradient - found[name]).norm() <= 2e-4 * gradient.norm() + 1e-6 * largest, name


def test_a_masked_step_is_the_same():
    """Encoders, both passes and the masked features."""
    renderer = tiny_renderer(9, 4).train().to(DEVICE)
    found = []
    for one in (renderer, renderer.with_passes(lambda of: KernelPass(of, "ieee"))):
        renderer.zero_grad()
        generator = torch.Generator(DEVICE).manual_seed(3)
        rendering = one(tiny_batch(3, 4).to(DEVICE), mask_ratio=0.5, generator=generator)
        loss = rendering.fine.rgb.square().sum() + rendering.coarse.depth.sum() + rendering.masked.prediction.sum()
        loss.backward()
        found.append({name: of.grad for name, of in renderer.named_parameters() if of.grad is not None})
    largest = max(gradient.norm() for gradient in found[0].values())
    for name, gradient in found[0].items():
        assert (gradient - found[1][name]).norm() <= 1e-3 * gradient.norm() + 1e-6 * largest, name


def test_nothing_is_kept_of_a_view():
    kept = []
    for views in (2, 4):
        sizes: list[int] = []
        features = features_of(views)
        features = features._replace(maps=features.maps.requires_grad_())
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, sizes=sizes: sizes.append(tensor.nelement()) or tensor, lambda tensor: tensor
        ):
            KernelPass(render_pass(), "ieee")(features, rays_of(2), samples_of(2, 8), mask=None)
        kept.append(sum(sizes) - features.maps.nelement())
    assert kept[0] == kept[1]
