"""Gradients of the kernels are those of the plain pass."""

import pytest
import torch

from tests.model.fast.kernel_cases import (
    DEVICE,
    compared_gradients,
    features_of,
    mask_of,
    rays_of,
    render_pass,
    samples_of,
    thinned_samples_of,
)
from tests.model.tiny import tiny_batch, tiny_renderer

pytest.importorskip("triton")
from maskrf_core.model.fast.kernel_pass import KernelPass  # isort: skip


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
    compared_gradients(plain, KernelPass(plain, "ieee"), *inputs)


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


def test_nothing_is_kept_of_a_sample_or_view():
    kept = []
    for views, samples in ((2, 8), (4, 8), (2, 16)):
        sizes: list[int] = []
        features = features_of(views)
        features = features._replace(maps=features.maps.requires_grad_())
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, sizes=sizes: sizes.append(tensor.nelement()) or tensor, lambda tensor: tensor
        ):
            KernelPass(render_pass(), "ieee")(features, rays_of(2), samples_of(2, samples), mask=None)
        kept.append(sum(sizes) - features.maps.nelement())
    assert kept[0] == kept[1] == kept[2]
