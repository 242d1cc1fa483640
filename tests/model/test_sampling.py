from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrf_core.model.sampling import (
    coarse_depths,
    depth_from_normalised,
    draw_fine_depths,
    intervals,
    inverse_transform_sample,
    merge_depths,
    normalised_inverse_depth,
)

RANGE = torch.tensor([2.0, 6.0])


@settings(max_examples=50, deadline=None)
@given(st.floats(0.05, 20), st.floats(1.01, 50), st.floats(0, 1))
def test_normalised_inverse_depth_round_trip(near: float, ratio: float, position: float):
    near = torch.tensor(near, dtype=torch.float64)
    far = near * ratio
    position = torch.tensor([position], dtype=torch.float64)
    depth = depth_from_normalised(position, near, far)
    assert near * (1 - 1e-9) <= depth <= far * (1 + 1e-9)
    torch.testing.assert_close(normalised_inverse_depth(depth, near, far), position, rtol=0, atol=1e-8)


def test_normalised_inverse_depth_by_hand():
    """Range 2 … 6: depth 3 has inverse 1/3, halfway between 1/2 and 1/6."""
    depth = torch.tensor([2.0, 3, 6, 1, 0, -5])
    position = normalised_inverse_depth(depth, *RANGE)
    torch.testing.assert_close(position[:4], torch.tensor([0, 0.5, 1, -1.5]))
    assert position[4] == position[5] == normalised_inverse_depth(torch.tensor([1e-5]), *RANGE)
    assert position.isfinite().all()


def test_coarse_depths_are_uniform_in_inverse_depth():
    depths = coarse_depths(RANGE, rays=3, samples=5)
    torch.testing.assert_close(1 / depths[1], torch.linspace(1 / 2, 1 / 6, 5))
    assert torch.equal(depths[0], depths[2])


def test_intervals_by_hand():
    """Inverse depths 1/2, 1/3, 1/6 are at 0, 0.5, 1; the last interval is endless."""
    torch.testing.assert_close(intervals(torch.tensor([[2.0, 3, 6]]), RANGE), torch.tensor([[0.5, 0.5, 1e6]]))


def slow_inverse_transform(edges: list[float], weights: list[float], u: float) -> float:
    """Walk along the bins until their share reaches u."""
    weights = [weight + 1e-5 for weight in weights]
    reached = 0.0
    for (left, right), weight in zip(pairwise(edges), weights, strict=True):
        share = weight / sum(weights)
        if u < reached + share or (left, right) == tuple(edges[-2:]):
            return left + (u - reached) / (share if share >= 1e-5 else 1.0) * (right - left)
        reached += share
    raise AssertionError


@pytest.mark.parametrize("kind", ["random", "one spike", "empty", "steps under 1e-5"])
def test_inverse_transform_against_a_loop(kind: str):
    generator = torch.Generator().manual_seed(0)
    edges = torch.rand(4, 9, dtype=torch.float64, generator=generator).sort(dim=1).values
    weights = {
        "random": torch.rand(4, 8, dtype=torch.float64, generator=generator),
        "one spike": torch.eye(8, dtype=torch.float64)[[0, 3, 6, 7]],
        "empty": torch.zeros(4, 8, dtype=torch.float64),
        "steps under 1e-5": torch.eye(8, dtype=torch.float64)[[1, 1, 5, 6]] * 1e3,
    }[kind]
    u = torch.rand(4, 50, dtype=torch.float64, generator=generator)
    u[:, 0], u[:, 1] = 0, 1 - 1e-9
    fast = inverse_transform_sample(edges, weights, u)
    for ray in range(4):
        for index in range(50):
            slow = slow_inverse_transform(edges[ray].tolist(), weights[ray].tolist(), u[ray, index].item())
            assert fast[ray, index].item() == pytest.approx(slow, abs=1e-9)


def test_inverse_transform_by_hand():
    """Bins of 1/4 and 3/4: half of the mass is reached a third of the way through the second."""
    sample = inverse_transform_sample(
        torch.tensor([[0.0, 1, 4]]), torch.tensor([[1.0, 3]]), torch.tensor([[0.25, 0.5]])
    )
    torch.testing.assert_close(sample, torch.tensor([[1.0, 2.0]]), atol=1e-4, rtol=0)


def test_random_fine_depths_follow_the_hit_probability():
    """Of many draws, each coarse bin gets the share that its hit probability promises (Monte Carlo)."""
    depths = coarse_depths(RANGE, rays=1, samples=5)
    hit = torch.tensor([[0.1, 0.0, 0.5, 0.3, 0.1]])
    new = draw_fine_depths(depths, hit, RANGE, 20_000, generator=torch.Generator().manual_seed(1))
    position = normalised_inverse_depth(new, *RANGE)
    edges = torch.tensor([0.125, 0.375, 0.625, 0.875])
    share = torch.bincount(torch.bucketize(position[0], edges), minlength=5) / 20_000
    torch.testing.assert_close(share, hit[0], atol=0.015, rtol=0)


def test_even_fine_depths_of_an_empty_ray():
    """Uniform in inverse depth between near and far, at the middles of equal shares."""
    depths = coarse_depths(RANGE, rays=2, samples=7)
    new = draw_fine_depths(depths, torch.zeros(2, 7), RANGE, 4)
    # The outer bins are half as wide as the others but have the same mass.
    edges = torch.tensor([0, 1, 3, 5, 7, 9, 11, 12]) / 12
    expected = inverse_transform_sample(edges[None], torch.ones(1, 7), torch.tensor([[1, 3, 5, 7]]) / 8)
    torch.testing.assert_close(normalised_inverse_depth(new, *RANGE), expected.expand(2, 4), atol=1e-5, rtol=0)


def test_draws_follow_the_seed_and_stay_in_range():
    depths = coarse_depths(RANGE, rays=5, samples=16)
    hit = torch.rand(5, 16, generator=torch.Generator().manual_seed(3)) ** 8

    def draw(seed: int) -> torch.Tensor:
        return draw_fine_depths(depths, hit, RANGE, 32, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    assert draw(0).min() >= RANGE[0] - 1e-5
    assert draw(0).max() <= RANGE[1] + 1e-4


def test_no_gradient_through_the_hit_probability():
    depths = coarse_depths(RANGE, rays=2, samples=8)
    hit = torch.full((2, 8), 0.1, requires_grad=True)
    assert not draw_fine_depths(depths, hit, RANGE, 4).requires_grad
    assert not draw_fine_depths(depths, hit, RANGE, 4, generator=torch.Generator()).requires_grad


def test_merged_depths_remember_the_coarse_ones():
    coarse = torch.tensor([[1.0, 3, 5], [1, 3, 5]])
    merged = merge_depths(coarse, torch.tensor([[4.0, 2], [0.5, 6]]), RANGE)
    assert merged.samples.depths.tolist() == [[1, 2, 3, 4, 5], [0.5, 1, 3, 5, 6]]
    assert merged.coarse_positions.tolist() == [[0, 2, 4], [1, 2, 3]]


def test_equal_depths_are_each_remembered_once():
    coarse = torch.full((1, 4), 2.0)
    positions = merge_depths(coarse, torch.full((1, 3), 2.0), RANGE).coarse_positions[0]
    assert len(set(positions.tolist())) == 4
