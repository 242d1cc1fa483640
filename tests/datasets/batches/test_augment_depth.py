"""Depth ranges and noisy depths: bounds that always hold, and how often what happens."""

import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches.augment import (
    add_depth_noise,
    jitter_depth_ranges,
    object_ranges,
    shrink_depth_ranges,
    widen_depth_ranges,
)


def test_widened_ranges_by_hand():
    assert widen_depth_ranges(torch.tensor([[2.0, 4], [2, 6], [2, 8]])).tolist() == [
        [1, 6],  # centre 3, half 3, but near not below 1
        [1, 7],
        [2, 8],
    ]


def test_range_of_an_object_is_that_of_its_known_depths():
    depths = torch.tensor([[[[0.0, 3.0, 9.0], [2.0, 5.0, 0.0]]], [[[0.0] * 3] * 2]])
    objects = torch.tensor([[[True, True, False], [True, True, True]]] * 2)
    assert object_ranges(depths, objects).tolist() == [[2, 5], [0, 0]]


def shrunk(ranges, objects, times=1, seed=0):
    ranges, objects = (torch.tensor([row] * times, dtype=torch.float32) for row in (ranges, objects))
    return shrink_depth_ranges(ranges, objects, generator=np.random.default_rng(seed))


def test_shrunk_ranges_hold_the_object_with_a_margin():
    near, far = shrunk([1, 5], [2, 3], 4000).unbind(dim=1)
    assert (near <= 2 - 0.025).all()  # the object's length is 1: never less than 2.5 % of it before and behind
    assert (far >= 3 + 0.025).all()
    assert (near >= 1 - 0.1 * 4).all()
    assert (far <= 5 + 0.1 * 4).all()
    # In the mean, halfway to the object, and 6.25 % of the mean length 2.5 beyond.
    assert near.mean() == pytest.approx(1.5 - 0.0625 * 2.5, abs=0.03)
    assert far.mean() == pytest.approx(4 + 0.0625 * 2.5, abs=0.06)


def test_shrunk_ranges_where_the_object_is_odd():
    assert shrunk([1, 5], [0, 0]).tolist() == [[1, 5]]  # unknown
    near, far = shrunk([1, 5], [3, 3], 500).unbind(dim=1)  # flat
    assert ((near < 3) & (far > 3)).all()
    near, far = shrunk([1, 5], [0.5, 7], 100).unbind(dim=1)  # larger than its range
    assert ((near < 0.5) & (near > 0.2) & (far > 7)).all()


def test_ranges_are_jittered_rarely_and_by_up_to_five_percent():
    generator = np.random.default_rng(3)
    ranges = torch.tensor([[2.0, 4.0], [1.0, 8.0]])
    drawn = torch.stack([jitter_depth_ranges(ranges, generator=generator) for _ in range(4000)])
    changed = (drawn != ranges).any(dim=1)  # [draw, end]
    assert ((changed.float().mean(dim=0) - 0.05).abs() < 0.0145).all()  # 4.2 standard deviations
    assert (changed.all(dim=1).float().mean() - 0.0025).abs() < 0.0035  # the ends do not go together
    factors = (drawn / ranges).flatten()
    assert factors.min() > 0.9499
    assert factors.max() < 1.0501
    assert factors[factors != 1].std() == pytest.approx(0.1 / 12**0.5, rel=0.1)
    narrow = torch.tensor([[2.0, 2.01]])
    assert all((lambda r: r[0, 0] < r[0, 1])(jitter_depth_ranges(narrow, generator=generator)) for _ in range(300))


SIDE = 40


def noise(seed):
    """Offsets of one view, as shares of the range's length 2, on its object, a square of 1,600 pixels."""
    depths, objects = torch.zeros(1, 1, 60, 70), torch.zeros(1, 60, 70, dtype=torch.bool)
    depths[0, 0, 10:50, 20:60] = 3.0
    depths[0, 0, :10] = 3.5  # known, but not the object's
    objects[0, 10:50, 20:60] = True
    before = depths.clone()
    noisy = add_depth_noise(depths, objects, torch.tensor([[0.5, 2.5]]), generator=np.random.default_rng(seed))
    assert torch.equal(depths, before)  # the true depth stays
    assert torch.equal(noisy[~objects[None]], before[~objects[None]])
    return ((noisy - before)[objects[None]] / 2).numpy()


def test_noise_is_as_large_and_as_frequent_as_published():
    moved_whole, region_sizes = 0, []
    for seed in range(1500):
        offsets = noise(seed)
        background = np.median(offsets)  # regions are a small part
        assert abs(background) <= 0.005 + 1e-6
        moved_whole += background != 0
        in_region = np.abs(offsets - background) > 1e-6
        if in_region.any():
            region_sizes.append(in_region.sum() / SIDE**2)
            assert np.abs(offsets[in_region] - background).max() <= 2.001  # two regions may overlap
    assert moved_whole / 1500 == pytest.approx(0.5, abs=0.055)
    assert len(region_sizes) / 1500 == pytest.approx(1 - 0.75 * 0.5, abs=0.053)
    sizes = np.array(region_sizes)
    assert sizes.min() >= 0.01 - 1e-3
    assert sizes.max() <= 0.15 + 1e-3
    alone = np.mean(sizes < 0.05)  # of regions: small ones alone are 0.375 of 0.625
    assert alone == pytest.approx(0.6, abs=0.09)


def test_a_region_is_a_disc_moved_as_a_whole():
    offsets = next(drawn for drawn in map(noise, range(100)) if len(np.unique(drawn.round(4))) == 2)
    moved = np.abs(offsets - np.median(offsets)) > 1e-6
    shift = offsets[moved] - np.median(offsets)
    assert np.ptp(shift) < 1e-6
    assert 0.5 <= abs(shift[0]) <= 1.0
    rows, columns = np.nonzero(moved.reshape(SIDE, SIDE))
    assert np.hypot(np.ptp(rows), np.ptp(columns)) < 2.4 * 2 * (moved.sum() / np.pi) ** 0.5  # compact


def test_depth_stays_known_and_in_front():
    depths, objects = torch.full((1, 1, 8, 8), 1.0), torch.ones(1, 8, 8, dtype=torch.bool)
    ranges = torch.tensor([[0.8, 40.0]])
    for seed in range(50):
        noisy = add_depth_noise(depths, objects, ranges, generator=np.random.default_rng(seed))
        assert noisy.min() >= 0.4
    unknown = torch.zeros_like(depths)
    assert torch.equal(add_depth_noise(unknown, objects, ranges, generator=np.random.default_rng(0)), unknown)


def test_same_generator_same_noise():
    assert np.array_equal(noise(11), noise(11))
    assert torch.equal(shrunk([1, 5], [2, 3], 9), shrunk([1, 5], [2, 3], 9))
    assert not torch.equal(shrunk([1, 5], [2, 3], 9), shrunk([1, 5], [2, 3], 9, seed=1))
