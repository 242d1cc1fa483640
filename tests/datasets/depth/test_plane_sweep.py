"""The plane sweep against a homography by hand, slow loops, and a textured plane whose depth is known."""

import numpy as np
import pytest
import torch

from maskrf_core.cameras import back_project, project, warp_to_planes
from maskrf_core.datasets.depth.plane_sweep import (
    EDGE_WEIGHT,
    SweepSettings,
    SweepView,
    inverse_depth_planes,
    minimum_place,
    over_windows,
    photometric_costs,
    project_planes,
    smooth_costs,
    sweep_around,
    sweep_depth,
    window_correlation,
)
from tests.benchmarks import reference_depth

K = torch.tensor([[30.0, 0, 12], [0, 30, 10], [0, 0, 1]])


def sideways(shift: float, image: torch.Tensor, mask: torch.Tensor | None = None) -> SweepView:
    """A camera at (shift, 0, 0) that looks along z."""
    w2c = torch.eye(4)[:3].clone()
    w2c[0, 3] = -shift
    mask = torch.ones(image.shape[1:], dtype=torch.bool) if mask is None else mask
    return SweepView(image=image, mask=mask, K=K, w2c=w2c, near=2.0, far=6.0)


def texture(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A colour for every point of a wall, smooth enough to be sampled."""
    return 0.5 + 0.2 * torch.stack([torch.sin(7 * x + 2 * y), torch.cos(5 * y - 3 * x), torch.sin(6 * x * y + 1)])


def wall_views(depth: float, shifts: tuple[float, ...] = (0.0, 0.3, -0.3)) -> list[SweepView]:
    """Exact pictures of a wall at z = depth."""
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    return [sideways(s, texture((x - 12) / 30 * depth + s, (y - 10) / 30 * depth)) for s in shifts]


def random_views(count: int = 2) -> list[SweepView]:
    generator = torch.Generator().manual_seed(0)
    return [sideways(0.2 * i, torch.rand(3, 7, 9, generator=generator)) for i in range(count)]


def test_planes_are_uniform_in_inverse_depth():
    planes = inverse_depth_planes(2.0, 6.0, 5).flatten()
    torch.testing.assert_close(1 / planes, torch.tensor([3, 2.5, 2, 1.5, 1]) / 6)


def test_projection_of_planes_agrees_with_back_projection():
    reference, source = random_views()
    angle = torch.tensor(0.3)
    turn = torch.tensor([[angle.cos(), 0, angle.sin()], [0, 1, 0], [-angle.sin(), 0, angle.cos()]])
    source = SweepView(source.image, source.mask, K * torch.tensor([[2.0], [1.5], [1]]),
                       torch.cat([turn, torch.tensor([[0.1], [0.2], [0.5]])], 1), 2.0, 6.0)  # fmt: skip
    planes = torch.tensor([2.0, 3.5])[:, None, None]
    pixels, depth = project_planes(reference, source, planes)
    for plane, z in enumerate((2.0, 3.5)):
        points = back_project(reference.K[None], reference.w2c[None], torch.full((1, 7, 9), z))[0]
        expected = project(source.K[None], source.w2c[None], points, 7, 9)
        torch.testing.assert_close(pixels[plane], expected.pixels_xy[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(depth[plane], expected.depth[0])


def warped_by_border(reference: SweepView, source: SweepView, planes: torch.Tensor):
    cameras = (source.K, source.w2c, reference.K, reference.w2c)
    return warp_to_planes(source.image, *cameras, planes, tuple(reference.mask.shape), padding="border")


def test_warp_by_hand():
    """A camera 0.3 to the right sees the plane at depth 3 moved by 30 · 0.3 / 3 = 3 pixels to the left."""
    reference, source = sideways(0.0, torch.rand(3, 7, 9)), sideways(0.3, torch.rand(3, 7, 9))
    warped, visible = warped_by_border(reference, source, torch.tensor([3.0])[:, None, None])
    torch.testing.assert_close(warped[:, 0, :, 4:], source.image[:, :, 1:6], rtol=0, atol=1e-4)
    assert visible[0, :, 4:].all()
    assert not visible[0, :, :3].any()


def test_nothing_is_visible_behind_the_source():
    reference, source = random_views()
    w2c = source.w2c.clone()
    w2c[2, 3] = -2.5  # the source stands 2.5 ahead
    source = SweepView(source.image, source.mask, K, w2c, 2.0, 6.0)
    _, visible = warped_by_border(reference, source, torch.tensor([2.0, 90.0])[:, None, None])
    assert not visible[0].any()
    assert visible[1].any()


@pytest.mark.parametrize("window", [3, 5])
def test_correlation_against_a_slow_loop(window: int):
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(7, 9, generator=generator) < 0.7
    mask[3, 4] = True
    reference = sideways(0.0, torch.rand(3, 7, 9, generator=generator, dtype=torch.float64), mask)
    warped = torch.rand(2, 3, 7, 9, generator=generator, dtype=torch.float64)
    settings = SweepSettings(window=window)
    result = window_correlation(reference, settings)(warped)
    for row, column in ((3, 4), (0, 0), (6, 8), (2, 7)):
        near = [
            (y, x)
            for y in range(max(row - window // 2, 0), min(row + window // 2 + 1, 7))
            for x in range(max(column - window // 2, 0), min(column + window // 2 + 1, 9))
            if mask[y, x]
        ]
        a = np.array([[reference.image[c, y, x] for y, x in near] for c in range(3)], np.float64)
        b = np.array([[warped[1, c, y, x] for y, x in near] for c in range(3)], np.float64)
        a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
        floor = settings.texture_floor**2
        variances = [(values**2).mean(1).sum() + floor for values in (a, b)]
        expected = (a * b).mean(1).sum() / np.sqrt(variances[0] * variances[1])
        assert float(result[1, row, column]) == pytest.approx(expected, abs=1e-8)


def test_correlation_ignores_brightness_and_contrast_and_is_0_without_texture():
    reference = sideways(0.0, torch.rand(3, 7, 9))
    correlation = window_correlation(reference, SweepSettings())
    assert (correlation(0.5 * reference.image[None] + 0.3) > 0.98).all()
    assert (correlation(-reference.image[None]) < -0.99).all()
    assert (correlation(torch.full((1, 3, 7, 9), 0.7)).abs() < 1e-2).all()


@pytest.mark.parametrize(("window", "kept"), [(3, 2), (5, 1)])
def test_costs_against_the_reference_of_the_benchmark(window: int, kept: int):
    generator = torch.Generator().manual_seed(2)
    settings = SweepSettings(window=window, best_sources=kept)
    reference, *sources = wall_views(3.0, (0.0, 0.3, -0.3, 0.6))
    noise = 0.1 * torch.rand(reference.image.shape, generator=generator)
    reference = sideways(0.0, reference.image + noise, torch.rand(20, 24, generator=generator) < 0.8)
    for planes in (inverse_depth_planes(2.0, 6.0, 7), 2 + 4 * torch.rand(3, 20, 24, generator=generator)):
        expected = reference_depth.photometric_costs(reference, sources, planes, settings)
        costs = photometric_costs(reference, sources, planes, settings)
        torch.testing.assert_close(costs, expected, rtol=0, atol=1e-3)  # pixels on a border may fall to either side
        assert costs.max() - costs.min() > 0.1


def test_window_sums_and_minima_against_slow_loops():
    values = torch.rand(2, 5, 3, generator=torch.Generator().manual_seed(3))
    for radius in (0, 1, 2):
        total, least = (over_windows(values, radius, combine) for combine in (torch.add, torch.minimum))
        for y in range(5):
            for x in range(3):
                near = values[:, max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
                torch.testing.assert_close(total[:, y, x], near.sum((1, 2)))
                torch.testing.assert_close(least[:, y, x], near.amin((1, 2)))


def test_only_the_best_sources_count():
    views = wall_views(3.0, (0.0, 0.3, -0.3, 0.2))
    blind = sideways(0.3, torch.rand(3, 20, 24))
    planes = torch.tensor([3.0])[:, None, None]
    settings = SweepSettings(best_sources=2)
    good = photometric_costs(views[0], views[1:3], planes, settings)
    with_blind = photometric_costs(views[0], [views[1], blind, views[2]], planes, settings)
    assert (with_blind <= good + 1e-6).all()
    assert photometric_costs(views[0], [blind], planes, settings).mean() > 5 * good[:, :, 6:18].mean()


def test_smoothing_against_a_slow_loop():
    generator = torch.Generator().manual_seed(2)
    height, width, planes = 4, 5, 6
    costs = torch.rand(planes, height, width, generator=generator)
    mask = torch.rand(height, width, generator=generator) < 0.8
    reference = sideways(0.0, torch.rand(3, height, width, generator=generator), mask)
    settings = SweepSettings(small_step_penalty=0.1, jump_penalty=0.9)
    result = smooth_costs(costs, reference, settings)
    expected = np.zeros(costs.shape)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        path = np.zeros(costs.shape)
        for y in sorted(range(height), reverse=dy < 0):
            for x in sorted(range(width), reverse=dx < 0):
                path[:, y, x] = costs[:, y, x]
                before = (y - dy, x - dx)
                if not (0 <= before[0] < height and 0 <= before[1] < width and mask[y, x] and mask[before]):
                    continue
                previous = path[:, before[0], before[1]]
                edge = float((reference.image[:, y, x] - reference.image[:, before[0], before[1]]).abs().mean())
                jump = max(settings.jump_penalty / (1 + EDGE_WEIGHT * edge), 1.5 * settings.small_step_penalty)
                for plane in range(planes):
                    steps = [previous[other] + (0 if other == plane else settings.small_step_penalty)
                             for other in range(max(plane - 1, 0), min(plane + 2, planes))]  # fmt: skip
                    path[plane, y, x] += min(*steps, previous.min() + jump) - previous.min()
        expected += path / 4
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-5)


def test_minimum_between_planes_by_hand():
    """Samples of (x - m)²: the parabola through three of them has its minimum at m; at the ends the plane is taken."""
    x = torch.arange(8.0)
    places = torch.tensor([[3.3, 4.0], [5.75, 0.2], [-1.0, 9.0]])
    costs = (x[:, None, None] - places) ** 2
    torch.testing.assert_close(minimum_place(costs), torch.tensor([[3.3, 4.0], [5.75, 0.0], [0.0, 7.0]]))
    assert (minimum_place(torch.ones(5, 2, 2)) % 1 == 0).all()


@pytest.mark.parametrize("depth", [2.4, 3.1, 4.7])
def test_depth_of_a_wall(depth: float):
    views = wall_views(depth)
    found = sweep_depth(views[0], views[1:], SweepSettings())
    error = (found - depth).abs()[:, 6:18] / depth
    assert error.median() < 0.008
    assert error.max() < 0.03


def test_impossible_planes_are_avoided_and_the_background_stays_0():
    views = wall_views(3.0)
    mask = views[0].mask.clone()
    mask[:, :8] = False
    reference = sideways(0.0, views[0].image, mask)
    settings = SweepSettings()
    planes = inverse_depth_planes(2.0, 6.0, settings.planes)
    impossible = (planes < 3.5).expand(-1, 20, 24)
    found = sweep_depth(reference, views[1:], settings, impossible)
    assert (found[:, :8] == 0).all()
    assert (found[:, 8:] >= 3.4).all()


def test_a_second_sweep_mends_a_surface_that_is_a_little_off():
    views = wall_views(3.1)
    start = torch.full((20, 24), 3.2)
    start[2, 3] = 0
    found = sweep_around(views[0], views[1:], start, SweepSettings())
    assert found[2, 3] == 0
    assert ((found - 3.1).abs()[:, 6:18] / 3.1).median() < 0.006
