"""The kernels give what the plain pass gives. On a CPU Triton interprets them, as tests/conftest.py has told it."""

import pytest
import torch

from maskrf_core.datasets.batches.batch import SceneBatch
from tests.model.fast.kernel_cases import (
    CLOSE,
    DEVICE,
    compared,
    features_of,
    mask_of,
    rays_of,
    render_pass,
    samples_of,
    thinned_samples_of,
)
from tests.model.tiny import tiny_batch, tiny_renderer

pytest.importorskip("triton")
from maskrf_core.model.fast.adaptive_rendering import AdaptiveSettings, render_chunks_adaptively  # isort: skip
from maskrf_core.model.fast.kernel_pass import KernelPass  # isort: skip


def compared_kernels(plain, *case, products: str = "ieee", **close) -> None:
    compared(plain, KernelPass(plain, products), *case, **close)


@pytest.mark.parametrize(("views", "rays", "samples"), [(1, 3, 9), (2, 2, 17), (3, 5, 7), (8, 2, 16)])
def test_a_pass_is_the_same(views: int, rays: int, samples: int):
    """Also of samples that some views, or none, see, and of numbers that fill no block."""
    plain, of_samples = render_pass(), samples_of(rays, samples)
    compared_kernels(plain, features_of(views), rays_of(rays), of_samples)
    if views == 3:
        with torch.no_grad():
            seen_by = plain(features_of(views), rays_of(rays), of_samples, mask=None).seen_by
        assert set(seen_by.unique().tolist()) >= {0, 1, 2}


@pytest.mark.parametrize("zeros", [False, True])
def test_masked(zeros: bool):
    plain, mask = render_pass(), mask_of(5, 2, 10)
    plain.aggregation.masks_by_zeros = zeros
    compared_kernels(plain, features_of(5), rays_of(2), samples_of(2, 10), mask)
    with torch.no_grad():
        shown, hidden = (KernelPass(plain, "ieee")(features_of(5), rays_of(2), samples_of(2, 10), mask=of)
                         for of in (None, mask))  # fmt: skip
    assert (shown.points.scene_features - hidden.points.scene_features).abs().max() > 1e-3
    torch.testing.assert_close(shown.seen_by, hidden.seen_by)


def test_samples_that_stand_for_several():
    plain = render_pass()
    compared_kernels(plain, features_of(3), rays_of(3), thinned_samples_of(3, 11))


def test_images_of_odd_sides_and_places_that_are_no_numbers():
    plain, rays = render_pass(), rays_of(3, 36, 52)
    rays = rays._replace(directions=rays.directions * torch.tensor([[1.0], [1e20], [1e-20]], device=DEVICE))
    compared_kernels(plain, features_of(3, 36, 52), rays, samples_of(3, 6))


@pytest.mark.skipif(DEVICE.type == "cpu", reason="the interpreter multiplies in float32")
def test_rounded_products_are_close():
    compared_kernels(render_pass(), features_of(4), rays_of(2), samples_of(2, 8), products="bf16", atol=0.05, rtol=0.05)


def test_weights_that_change_are_seen():
    plain = render_pass()
    kernels, case = KernelPass(plain, "ieee"), (features_of(2), rays_of(1), samples_of(1, 9))
    with torch.no_grad():
        before = kernels(*case, mask=None)
        plain.aggregation.geometry[2].bias += 0.3
        after, expected = kernels(*case, mask=None), plain(*case, mask=None)
    assert not torch.allclose(before.points.scene_features, after.points.scene_features, atol=1e-3)
    torch.testing.assert_close(after.points.density, expected.points.density, **CLOSE)


def test_what_is_no_number_stays_so():
    plain = render_pass()
    with torch.no_grad():
        plain.distribution_decoder.mean[0].bias[3] = torch.nan
        predicted = KernelPass(plain, "ieee")(features_of(2), rays_of(1), samples_of(1, 9), mask=None)
    assert predicted.composited.rgb.isnan().any()


def batch() -> SceneBatch:
    return tiny_batch(3, 4).to(DEVICE)


@pytest.mark.parametrize("mode", ["exact", "adaptive"])
def test_a_renderer_does_not_know_which_pass_it_has(mode: str):
    plain = tiny_renderer(9, 4).to(DEVICE)
    kernels = plain.with_passes(lambda of: KernelPass(of, "ieee"))

    def picture(renderer) -> torch.Tensor:
        if mode == "exact":
            return renderer.render(batch()).fine.rgb
        with torch.inference_mode():
            features = renderer.encode(batch().references)
        chunks = render_chunks_adaptively(
            renderer, features, batch().query, batch().pixels_xy, 4, AdaptiveSettings(2, 8)
        )
        return torch.cat([chunk.fine.rgb for chunk in chunks])

    torch.testing.assert_close(picture(kernels), picture(plain), **CLOSE)
