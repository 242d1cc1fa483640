"""Depth maps that agree are kept, what contradicts is cut: on a traced scene whose depth is exact, and by hand."""

import numpy as np
import pytest
import torch

from maskrf_core.datasets.depth.depth_consistency import (
    confirmed_depth,
    off_silhouettes,
    round_trip,
    smooth_surface,
    without_specks,
)
from maskrf_core.datasets.depth.plane_sweep import SweepView, inverse_depth_planes
from tests.datasets.traced_scene import TracedScene

TOLERANCES = {"confirming_views": 1, "depth_tolerance": 0.015, "pixel_tolerance": 1.0}


@pytest.fixture(scope="module")
def traced() -> tuple[list[SweepView], list[torch.Tensor]]:
    """Views of the spheres and their true depth."""
    scene = TracedScene(size=48, views=14)
    views = [
        SweepView(
            image=torch.from_numpy(scene.image(i)).permute(2, 0, 1) / 255.0,
            mask=torch.from_numpy(scene.mask(i)),
            K=torch.from_numpy(scene.K(i)).float(),
            w2c=torch.from_numpy(scene.w2c(i)).float(),
            near=scene.depth_range(i)[0],
            far=scene.depth_range(i)[1],
        )
        for i in scene.image_ids
    ]
    return views, [torch.from_numpy(scene.truth(i)) for i in scene.image_ids]


def frontal(shift: float) -> SweepView:
    w2c = torch.eye(4)[:3].clone()
    w2c[0, 3] = -shift
    K = torch.tensor([[20.0, 0, 5], [0, 20, 4], [0, 0, 1]])
    return SweepView(torch.zeros(3, 8, 10), torch.ones(8, 10, dtype=torch.bool), K, w2c, 1.0, 9.0)


def test_round_trip_by_hand():
    """Depth 4 seen from 0.4 to the right: 2 pixels to the left. There is 5 instead: back it is 0.4 pixels off."""
    here, there = torch.full((8, 10), 4.0), torch.full((8, 10), 5.0)
    returned, distance = round_trip(frontal(0.0), here, frontal(0.4), there)
    torch.testing.assert_close(returned[:, 2:], torch.full((8, 8), 5.0))
    torch.testing.assert_close(distance[:, 2:], torch.full((8, 8), 0.4), rtol=0, atol=1e-5)
    assert torch.isinf(returned[:, :2]).all()
    here[3, 5] = 0
    there[2, 4] = 0
    _, distance = round_trip(frontal(0.0), here, frontal(0.4), there)
    assert torch.isinf(distance[[3, 2], [5, 6]]).all()
    assert torch.isfinite(distance[4, 5])


def test_agreeing_depths_are_averaged_and_others_cut():
    view, other = frontal(0.0), frontal(0.4)
    depth = torch.full((8, 10), 4.0)
    depth[3, 5] = 6.0
    kept = confirmed_depth(view, depth, [(other, torch.full((8, 10), 4.04))], **TOLERANCES)
    assert kept[3, 5] == 0
    torch.testing.assert_close(kept[4, 2:], torch.full((8,), 4.02))
    assert (kept[:, :2] == 0).all()
    twice = confirmed_depth(view, depth, [(other, depth)], **{**TOLERANCES, "confirming_views": 2})
    assert not twice.any()


def test_true_depth_is_confirmed_and_errors_are_not(traced):
    views, truths = traced
    index = 6
    others = [(views[o], truths[o]) for o in range(len(views)) if o != index]
    kept = confirmed_depth(views[index], truths[index], others, **TOLERANCES)
    foreground = truths[index] > 0
    assert (kept[foreground] > 0).float().mean() > 0.9
    assert ((kept - truths[index]).abs() / truths[index])[kept > 0].median() < 0.004
    wrong = truths[index] * 0.94  # in front: behind a surface, another one may well be
    assert (confirmed_depth(views[index], wrong, others, **TOLERANCES)[foreground] > 0).float().mean() < 0.1


def test_silhouettes_never_forbid_the_truth_and_forbid_most_else(traced):
    views, truths = traced
    view, truth = views[3], truths[3]
    impossible = off_silhouettes(view, views[:3] + views[4:], 64)
    assert impossible is not None
    place = (1 / view.near - 1 / truth) / (1 / view.near - 1 / view.far) * 63
    at_truth = impossible.gather(0, place.round().clamp(0, 63).long()[None])[0]
    assert at_truth[truth > 0].float().mean() < 0.01
    assert impossible[:, truth > 0].float().mean() > 0.5
    assert off_silhouettes(view, [], 64) is None


def test_silhouette_by_hand():
    """Only the left half of the other view is foreground: the far points of the ray through (7, 4) fall right."""
    other = frontal(0.4)
    other.mask[:, 4:] = False
    impossible = off_silhouettes(frontal(0.0), [other], 9)
    planes = inverse_depth_planes(1.0, 9.0, 9).flatten()
    x = 7 - 20 * 0.4 / planes
    np.testing.assert_array_equal(impossible[:, 4, 7], (x.round() >= 5) & (x.round() <= 9))


def test_smoothing_keeps_slopes_jumps_and_gaps():
    x = torch.arange(12.0).expand(10, 12)
    inverse = 0.3 + 0.001 * x
    inverse = torch.where(x >= 6, inverse + 0.2, inverse)
    depth = 1 / inverse
    depth[4, 3] = 0
    smooth = smooth_surface(depth, depth, inverse_depth_scale=0.01)
    assert smooth[4, 3] == 0
    rest = depth > 0
    assert ((1 / smooth - inverse).abs()[rest] < 0.003).all()
    noise = 0.002 * torch.randn(10, 12, generator=torch.Generator().manual_seed(0))
    noisy = smooth_surface(1 / (inverse + noise), torch.zeros(10, 12), inverse_depth_scale=0.01)
    assert (1 / noisy - inverse)[2:-2, [2, 3, 8, 9]].std() < 0.6 * noise.std()


def test_confirmed_depths_weigh_more():
    depth = torch.full((5, 5), 2.0)
    confirmed = torch.zeros(5, 5)
    confirmed[2, 2] = 2.02
    near_it = smooth_surface(depth, confirmed, inverse_depth_scale=0.1, iterations=1)[2, 3]
    unweighted = 1 / ((19 / 2.0 + 1 / 2.02) / 20)
    assert near_it > unweighted + 1e-3


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e4])
def test_specks_are_cut_and_slopes_and_larger_patches_stay(unit: float):
    """A slope of one step a column; on it 4 pixels that jump off it, and behind a gap patches of 4 and of 5 pixels."""
    inverse = (100 + torch.arange(12.0)).repeat(9, 1)
    inverse[1:3, 4:6] += 4
    inverse[5:] = torch.inf
    inverse[7, 1:5] = 100
    inverse[7, 7:12] = 100
    depth = unit / inverse
    kept = without_specks(depth, largest_speck=4, inverse_depth_step=2 / unit)
    expected = depth.clone()
    expected[1:3, 4:6] = 0
    expected[7, 1:5] = 0
    assert torch.equal(kept, expected)
    assert torch.equal(without_specks(depth, largest_speck=0, inverse_depth_step=2 / unit), depth)
    # Against steps this small the range does not fit 16-bit integers at full fineness, and nothing is connected.
    assert not without_specks(depth, largest_speck=11, inverse_depth_step=1e-4 / unit)[:5].any()
    assert not without_specks(torch.zeros(2, 3), largest_speck=4, inverse_depth_step=1.0).any()
