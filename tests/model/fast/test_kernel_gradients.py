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
from tests.model.tiny import scattered

from maskrf_core.model.fast.kernel_pass import KernelPass  # isort: skip


def gradients(plain: RenderPass, computed, features, rays, samples, mask: Mask | None) -> dict[str, torch.Tensor]:
    """Gradients of a loss in which everything that a pass predicts has a part of its own."""
    plain.zero_grad()
    maps = features.maps.detach().clone(memory_format=torch.channels_last).requires_grad_()
    seen_by, points, *made = computed(features._replace(maps=maps), rays, samples, mask=mask)
    whole = volume_render(points, samples.depths, seen_by.sum(1) > 8, *made)
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
