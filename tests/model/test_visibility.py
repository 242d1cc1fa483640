import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from maskrf_core.model.layers import PreActivationBlock
from maskrf_core.model.visibility import (
    DistributionDecoder,
    SurfaceDistribution,
    VisibilityEncoder,
    visibility_of_samples,
)
from maskrf_core.model.visibility_init import DepthVisibilityInit
from maskrf_core.support.errors import DatasetError
from tests.model.tiny import fill_by_formula, samples_with, tiny_views


def distribution(shape: tuple[int, ...], means, sharpness, weight: float) -> SurfaceDistribution:
    return SurfaceDistribution(
        torch.tensor(means, dtype=torch.float64).expand(*shape, 2),
        torch.tensor(sharpness, dtype=torch.float64).expand(*shape, 2),
        torch.full((*shape, 1), weight, dtype=torch.float64),
    )


def test_cdf_by_hand():
    """A quarter of a component at its mean (1/2) and three quarters of one far behind (0)."""
    surface = distribution((1,), [0.4, 100.0], [7.0, 50.0], 0.25)
    assert surface.cdf(torch.tensor([0.4], dtype=torch.float64)).item() == pytest.approx(0.125)
    one = distribution((1,), [0.0, 0.0], [1.0, 1.0], 0.3)
    assert one.cdf(torch.tensor([0.5], dtype=torch.float64)).item() == pytest.approx(1 / (1 + math.exp(-1)))


def test_visibility_of_samples_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    views, rays, samples = 2, 3, 5
    shape = (views, rays, samples)
    surface = SurfaceDistribution(
        torch.rand(*shape, 2, generator=generator),
        torch.rand(*shape, 2, generator=generator) * 9,
        torch.rand(*shape, 1, generator=generator),
    )
    position = torch.rand(shape, generator=generator).sort(dim=-1).values
    intervals = torch.rand(rays, samples, generator=generator)
    valid = torch.rand(shape, generator=generator) > 0.3
    seen = visibility_of_samples(surface, position, samples_with(intervals), valid)
    for v, r, s in torch.cartesian_prod(*(torch.arange(size) for size in shape)).tolist():

        def cdf(x, at=(v, r, s)):
            first, second = (
                0.5 + 0.5 * math.tanh((x - m) * k) for m, k in zip(surface[0][at], surface[1][at], strict=True)
            )
            return surface[2][at].item() * first + (1 - surface[2][at].item()) * second

        x = position[v, r, s].item()
        before = cdf(x - intervals[r, max(s - 1, 0)].item() / 2)
        behind = cdf(x + intervals[r, s].item() / 2)
        expected = (1 - before, behind - before) if valid[v, r, s] else (0, 0)
        assert seen.visibility[v, r, s].item() == pytest.approx(expected[0], abs=1e-6)
        assert seen.hit_probability[v, r, s].item() == pytest.approx(expected[1], abs=1e-6)


def test_hits_of_adjoining_intervals_add_up():
    """Seen from its own camera, a ray's hit probabilities sum to what is visible before its first sample."""
    position = torch.linspace(0, 1, 9, dtype=torch.float64).expand(1, 1, 9)
    intervals = torch.cat([position[0].diff(dim=1), torch.full((1, 1), 1e6, dtype=torch.float64)], dim=1)
    surface = distribution((1, 1, 9), [0.3, 0.8], [20.0, 5.0], 0.6)
    seen = visibility_of_samples(surface, position, samples_with(intervals), torch.ones(1, 1, 9, dtype=torch.bool))
    assert seen.hit_probability.sum().item() == pytest.approx(seen.visibility[0, 0, 0].item())
    for index, (here, behind) in enumerate(pairwise(seen.visibility[0, 0].tolist())):
        assert here - seen.hit_probability[0, 0, index].item() == pytest.approx(behind)


def test_extreme_positions_stay_probabilities():
    """Samples at or behind the camera have positions of -1e5; the last interval is 1e6 long."""
    position = torch.tensor([[[-1e5, 0.0, 1e5]]])
    surface = SurfaceDistribution(*(part.float() for part in distribution((1, 1, 3), [0.5, 0.5], [1e4, 0.05], 0.5)))
    seen = visibility_of_samples(
        surface, position, samples_with(torch.tensor([[1.0, 1, 1e6]])), torch.ones(1, 1, 3, dtype=torch.bool)
    )
    for part in seen:
        assert ((part >= 0) & (part <= 1)).all()
    assert (seen.hit_probability <= seen.visibility).all()


def test_gradients_of_visibility_by_finite_differences():
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.rand(*shape, dtype=torch.float64, generator=generator)

    means, sharpness, weight = draw(2, 1, 4, 2), draw(2, 1, 4, 2) + 1, draw(2, 1, 4, 1)
    position, intervals, valid = draw(2, 1, 4), draw(1, 4) / 4, draw(2, 1, 4) > 0.2

    def visibility(*parts):
        return tuple(visibility_of_samples(SurfaceDistribution(*parts), position, samples_with(intervals), valid))

    inputs = tuple(part.requires_grad_() for part in (means, sharpness, weight))
    assert torch.autograd.gradcheck(visibility, inputs)


def test_decoder_ranges():
    surface = DistributionDecoder()(torch.randn(50, 32, generator=torch.Generator().manual_seed(0)) * 20)
    assert surface.means.shape == surface.sharpness.shape == (50, 2)
    assert surface.means.min() >= 0
    assert surface.sharpness.min() >= 0.05
    assert ((surface.mixing_weight >= 0) & (surface.mixing_weight <= 1)).all()


def test_block_adds_to_its_input():
    block = PreActivationBlock(4)
    torch.nn.init.zeros_(block.residual[5].weight)
    x = torch.randn(2, 4, 5, 6)
    assert torch.equal(block(x), x)


def test_encoder_keeps_views_apart():
    encoder = VisibilityEncoder()
    maps = torch.randn(3, 64, 8, 8)
    torch.testing.assert_close(encoder(maps)[1:2], encoder(maps[1:2]), atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def init() -> DepthVisibilityInit:
    network = DepthVisibilityInit()
    fill_by_formula(network)
    return network


def test_init_needs_depths(init: DepthVisibilityInit):
    with pytest.raises(DatasetError, match="depth map"):
        init(replace(tiny_views([0.0, 0.1]), depths=None))


@torch.no_grad()
def test_unknown_depth_counts_as_near_and_too_far_as_far(init: DepthVisibilityInit):
    views = tiny_views([0.0, 0.1])
    for stated, meant in ((0.0, 2.0), (1e9, 6.0)):
        spoiled, plain = views.depths.clone(), views.depths.clone()
        spoiled[0, 0, 4:9, 7:20], plain[0, 0, 4:9, 7:20] = stated, meant
        torch.testing.assert_close(
            init(replace(views, depths=spoiled)), init(replace(views, depths=plain)), atol=1e-4, rtol=1e-4
        )


@torch.no_grad()
def test_init_sees_depth(init: DepthVisibilityInit):
    views = tiny_views([0.0, 0.1])
    assert init(views).shape == (2, 32, 8, 12)
    assert (init(views) - init(replace(views, depths=views.depths + 0.3))).abs().max() > 1e-2
