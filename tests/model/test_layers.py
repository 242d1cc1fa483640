import pytest
import torch
from torch import nn

from maskrf_core.model.layers import (
    convolution,
    instance_norm,
    linear_of_shared_and_own,
    mlp,
    sample_map,
    weighted_mean_and_variance,
)


def test_mlp_layout():
    kinds = [type(layer) for layer in mlp([3, 5, 2], nn.ELU, nn.Sigmoid)]
    assert kinds == [nn.Linear, nn.ELU, nn.Linear, nn.Sigmoid]
    assert [type(layer) for layer in mlp([3, 5, 2], nn.ReLU)] == [nn.Linear, nn.ReLU, nn.Linear]


def test_convolution_reflects_at_the_border():
    """The mean of 3×3 pixels at the corner sees the second row and column twice."""
    layer = convolution(1, 1)
    nn.init.constant_(layer.weight, 1 / 9)
    image = torch.arange(16.0).view(1, 1, 4, 4)
    corner = (image[0, 0, 0, 0] + 2 * image[0, 0, 0, 1] + 2 * image[0, 0, 1, 0] + 4 * image[0, 0, 1, 1]) / 9
    assert layer(image)[0, 0, 0, 0].item() == pytest.approx(corner.item())
    assert layer(image).shape == image.shape


def test_instance_norm_keeps_views_apart_and_needs_no_statistics():
    norm = instance_norm(2)
    maps = torch.randn(3, 2, 4, 5)
    alone = norm(maps[:1])
    torch.testing.assert_close(norm(maps)[:1], alone)
    torch.testing.assert_close(norm.eval()(maps)[:1], alone)
    torch.testing.assert_close(alone.mean(dim=(2, 3)), torch.zeros(1, 2), atol=1e-6, rtol=0)


def test_linear_of_shared_and_own_against_concatenation():
    layer = nn.Linear(7, 3).double()
    shared = torch.randn(4, 5, 3, dtype=torch.float64, requires_grad=True)
    own = torch.randn(6, 4, 5, 4, dtype=torch.float64, requires_grad=True)
    fast = linear_of_shared_and_own(layer, shared, own)
    slow = layer(torch.cat([shared.expand(6, 4, 5, 3), own], dim=-1))
    torch.testing.assert_close(fast, slow)
    inputs = [shared, own, layer.weight, layer.bias]
    for ours, theirs in zip(
        torch.autograd.grad(fast.square().sum(), inputs), torch.autograd.grad(slow.square().sum(), inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_weighted_mean_and_variance_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 2, 3, dtype=torch.float64, generator=generator)
    weights = torch.rand(4, 2, 1, dtype=torch.float64, generator=generator)  # they do not sum to one
    mean, variance = weighted_mean_and_variance(values, weights)
    for point in range(2):
        for channel in range(3):
            m = sum(weights[v, point, 0] * values[v, point, channel] for v in range(4))
            s = sum(weights[v, point, 0] * (values[v, point, channel] - m) ** 2 for v in range(4))
            torch.testing.assert_close(mean[point, channel], m)
            torch.testing.assert_close(variance[point, channel], s)


def test_weighted_mean_and_variance_by_hand():
    mean, variance = weighted_mean_and_variance(torch.tensor([[1.0], [3], [8]]), torch.tensor([[0.5], [0.5], [0]]))
    assert (mean.item(), variance.item()) == (2, 1)


def slow_bilinear(grid: torch.Tensor, x: float, y: float) -> float:
    """Bilinear value of a map at (x, y) in its own pixels, clamped to its border."""
    rows, columns = grid.shape
    x, y = min(max(x, 0), columns - 1), min(max(y, 0), rows - 1)
    left, top = min(int(x), columns - 2), min(int(y), rows - 2)
    a, b = x - left, y - top
    upper = (1 - a) * grid[top, left] + a * grid[top, left + 1]
    lower = (1 - a) * grid[top + 1, left] + a * grid[top + 1, left + 1]
    return float((1 - b) * upper + b * lower)


def test_sample_map_of_the_image_size_against_a_loop():
    maps = torch.rand(2, 3, 6, 8, dtype=torch.float64)
    pixels = torch.rand(2, 4, 5, 2, dtype=torch.float64) * 12 - 2  # some beyond the border
    values = sample_map(maps, pixels, 6, 8)
    assert values.shape == (2, 4, 5, 3)
    for view, row, column, channel in [(0, 0, 0, 0), (1, 3, 4, 2), (0, 2, 1, 1), (1, 0, 3, 0), (1, 1, 1, 1)]:
        x, y = pixels[view, row, column].tolist()
        expected = slow_bilinear(maps[view, channel], x, y)
        assert values[view, row, column, channel].item() == pytest.approx(expected)


def test_whole_pixels_are_read_exactly():
    maps = torch.rand(1, 1, 5, 7)
    pixels = torch.tensor([[[0.0, 0], [6, 4], [3, 2]]])
    values = sample_map(maps, pixels, 5, 7)[0, :, 0]
    torch.testing.assert_close(values, torch.stack([maps[0, 0, 0, 0], maps[0, 0, 4, 6], maps[0, 0, 2, 3]]))


def test_sample_map_of_a_quarter_against_a_loop():
    """Published convention: pixel 0 … W-1 is spread over the whole width of the smaller map, edges included."""
    maps = torch.rand(1, 1, 4, 6, dtype=torch.float64)
    pixels = torch.rand(1, 30, 2, dtype=torch.float64) * torch.tensor([23.0, 15.0])
    values = sample_map(maps, pixels, 16, 24)
    for index, (x, y) in enumerate(pixels[0].tolist()):
        expected = slow_bilinear(maps[0, 0], x / 23 * 6 - 0.5, y / 15 * 4 - 0.5)
        assert values[0, index, 0].item() == pytest.approx(expected)


def test_zero_padding():
    maps = torch.ones(1, 2, 4, 4)
    values = sample_map(maps, torch.tensor([[[-0.5, 0], [-9, 2], [1, 1]]]), 4, 4, padding="zeros")
    torch.testing.assert_close(values[0, :, 0], torch.tensor([0.5, 0, 1]))
