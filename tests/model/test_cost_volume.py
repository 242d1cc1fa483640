"""Warping to planes and the cost of matching there, against slow loops and by hand."""

import numpy as np
import pytest
import torch

from maskrf_core.cameras import SMALLEST_PROJECTED_DEPTH, warp_to_planes
from maskrf_core.model.mvsnet import matching_cost
from tests.model.tiny import look_at_origin, scattered

HEIGHT, WIDTH = 6, 9
DEPTHS = torch.tensor([2.0, 3.1, 4.0, 7.5])


def cameras(*angles: float) -> tuple[torch.Tensor, torch.Tensor]:
    K = torch.tensor([[10.0, 0.3, 4.2], [0, 11, 2.4], [0, 0, 1]])
    return K.expand(len(angles), 3, 3).clone(), torch.stack([look_at_origin(angle) for angle in angles])


def some_maps(views: int, channels: int = 3) -> torch.Tensor:
    return scattered(views * channels * HEIGHT * WIDTH).view(views, channels, HEIGHT, WIDTH)


def all_warped(features, K, w2c, reference_K, reference_w2c, depths) -> torch.Tensor:
    """Every source's map at the planes, as matching has them: zero outside."""
    at = (reference_K, reference_w2c, depths[:, None, None], (HEIGHT, WIDTH))
    return torch.stack([
        warp_to_planes(*source, *at, padding="zeros")[0] for source in zip(features, K, w2c, strict=True)
    ])  # fmt: skip


def slowly_warped(features, K, w2c, reference_K, reference_w2c, depths) -> np.ndarray:
    """One pixel, plane and source after the other, through world points."""
    features, K, w2c, reference_K, reference_w2c = (
        part.double().numpy() for part in (features, K, w2c, reference_K, reference_w2c)
    )
    warped = np.zeros((*features.shape[:2], len(depths), HEIGHT, WIDTH))
    for source, plane, row, column in np.ndindex(len(features), len(depths), HEIGHT, WIDTH):
        in_camera = float(depths[plane]) * np.linalg.inv(reference_K) @ [column, row, 1]
        world = reference_w2c[:, :3].T @ (in_camera - reference_w2c[:, 3])
        x, y, z = K[source] @ (w2c[source, :, :3] @ world + w2c[source, :, 3])
        x, y = x / max(z, SMALLEST_PROJECTED_DEPTH), y / max(z, SMALLEST_PROJECTED_DEPTH)
        for at_y, at_x in ((np.floor(y) + i, np.floor(x) + j) for i in (0, 1) for j in (0, 1)):
            if 0 <= at_y < HEIGHT and 0 <= at_x < WIDTH:
                weight = (1 - abs(y - at_y)) * (1 - abs(x - at_x))
                warped[source, :, plane, row, column] += weight * features[source, :, int(at_y), int(at_x)]
    return warped


def test_warping_is_that_of_a_slow_loop():
    """Among the sources: one beside, one whose map is left, one that looks away so that all lies behind it."""
    K, w2c = cameras(0.1, -0.15, 0.9, np.pi)
    w2c[3, :, 3] = torch.tensor([0.0, 0, -20])
    reference_K, reference_w2c = (part[0] for part in cameras(0.0))
    arguments = (some_maps(4), K, w2c, reference_K, reference_w2c, DEPTHS)
    warped = all_warped(*arguments)
    assert warped.shape == (4, 3, 4, HEIGHT, WIDTH)
    expected = slowly_warped(*arguments)
    np.testing.assert_allclose(warped.numpy(), expected, atol=2e-5)
    inside = (expected != 0).mean(axis=(1, 2, 3, 4))
    assert inside[0] > 0.6  # the case says something
    assert 0.05 < inside[2] < 0.7


def test_a_camera_warped_into_itself_changes_nothing():
    K, w2c = cameras(0.4)
    maps = some_maps(1)
    warped = all_warped(maps, K, w2c, K[0], w2c[0], DEPTHS)
    torch.testing.assert_close(warped, maps[:, :, None].expand_as(warped), atol=1e-4, rtol=0)


@pytest.mark.parametrize("planes", [1, 4, 11])
def test_cost_by_hand_where_nothing_moves(planes):
    """Features 1, 2 and 6 everywhere: E[x²] - E[x]² = 41/3 - 9; however many planes are warped together."""
    K, w2c = cameras(0.0, 0.0, 0.0)
    values = torch.tensor([1.0, 2, 6])[:, None, None, None].expand(3, 5, HEIGHT, WIDTH)
    cost = matching_cost(values[0], K[0], w2c[0], values[1:], K[1:], w2c[1:], torch.linspace(2, 5, planes))
    # Not at the last row and column, which rounding may put outside.
    torch.testing.assert_close(cost[..., :-1, :-1], torch.full((5, planes, HEIGHT - 1, WIDTH - 1), 14 / 3))


def test_outside_of_a_source_counts_as_zero():
    K, w2c = cameras(0.0, 0.0)
    w2c[1, 0, 3] = 1000
    ones = torch.ones(2, 2, HEIGHT, WIDTH)
    cost = matching_cost(ones[0], K[0], w2c[0], ones[1:], K[1:], w2c[1:], DEPTHS)
    assert torch.equal(cost, torch.full((2, 4, HEIGHT, WIDTH), 0.25))


def test_cost_without_neighbours_is_zero():
    K, w2c = cameras(0.0)
    maps = some_maps(1)
    cost = matching_cost(maps[0], K[0], w2c[0], maps[:0], K[:0], w2c[:0], DEPTHS)
    assert torch.equal(cost, torch.zeros(3, 4, HEIGHT, WIDTH))


def test_cost_is_the_variance_of_what_is_warped():
    K, w2c = cameras(0.0, 0.1, -0.15, 0.2)
    maps = some_maps(4)
    depths = torch.linspace(2, 6, 20)
    warped = all_warped(maps[1:], K[1:], w2c[1:], K[0], w2c[0], depths)
    every = torch.cat([maps[:1, :, None].expand(1, 3, 20, HEIGHT, WIDTH), warped])
    cost = matching_cost(maps[0], K[0], w2c[0], maps[1:], K[1:], w2c[1:], depths)
    torch.testing.assert_close(cost, every.var(dim=0, unbiased=False), atol=1e-5, rtol=0)


def test_mirroring_all_maps_mirrors_the_cost():
    K, w2c = cameras(0.0, 0.1, -0.15)
    mirrored = K.clone()
    mirrored[:, 0] *= -1
    mirrored[:, 0, 2] += WIDTH - 1
    maps = some_maps(3)
    flipped = maps.flip(-1)
    ours = matching_cost(maps[0], K[0], w2c[0], maps[1:], K[1:], w2c[1:], DEPTHS)
    theirs = matching_cost(flipped[0], mirrored[0], w2c[0], flipped[1:], mirrored[1:], w2c[1:], DEPTHS)
    torch.testing.assert_close(theirs.flip(-1), ours, atol=1e-4, rtol=0)


def test_cropping_all_maps_crops_the_cost():
    """What is cut off is as if it had been zero."""
    K, w2c = cameras(0.0, 0.1, -0.15)
    top, left, height, width = 1, 2, 4, 5
    rows, columns = slice(top, top + height), slice(left, left + width)
    maps, emptied = some_maps(3), torch.zeros(3, 3, HEIGHT, WIDTH)
    emptied[..., rows, columns] = maps[..., rows, columns]
    shifted = K.clone()
    shifted[:, 0, 2] -= left
    shifted[:, 1, 2] -= top
    cut = maps[..., rows, columns]
    whole = matching_cost(maps[0], K[0], w2c[0], emptied[1:], K[1:], w2c[1:], DEPTHS)
    theirs = matching_cost(cut[0], shifted[0], w2c[0], cut[1:], shifted[1:], w2c[1:], DEPTHS)
    torch.testing.assert_close(theirs, whole[..., rows, columns], atol=1e-4, rtol=0)
    assert theirs.std() > 0.01
