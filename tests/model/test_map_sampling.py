"""Sampling of maps against a slow loop, torch's own sampling, and by hand."""

import pytest
import torch
from torch.nn import functional

from maskrf_core.model.gathering import sample_map


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


@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("size", [(6, 8), (24, 32)])
def test_against_grid_sample_with_gradients(size: tuple[int, int], padding: str):
    """Also beyond the border, infinitely far, and with the channels of a pixel together."""
    maps = torch.randn(3, 5, *size, dtype=torch.float64, requires_grad=True)
    pixels = torch.rand(3, 40, 7, 2, dtype=torch.float64) * 60 - 15
    pixels[0, 0, 0], pixels[0, 0, 1] = torch.tensor([1e30, 3]), torch.tensor([-torch.inf, 2])
    grid = 2 * pixels / torch.tensor([31.0, 23.0], dtype=torch.float64) - 1
    grid = grid.clamp(-1e6, 1e6)
    slow = functional.grid_sample(maps, grid, padding_mode=padding, align_corners=size == (24, 32)).movedim(1, -1)
    weight = torch.randn_like(slow)
    fast = sample_map(maps, pixels, 24, 32, padding=padding)
    channels_last = maps.contiguous(memory_format=torch.channels_last)
    valid = torch.rand(3, 40, 7) < 0.5
    together = sample_map(channels_last, pixels, 24, 32, padding=padding, valid=valid)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(together, slow * valid[..., None])
    of_slow, of_fast = (torch.autograd.grad((values * weight).sum(), maps)[0] for values in (slow, fast))
    torch.testing.assert_close(of_fast, of_slow)
    assert fast[0, 0, 0].abs().max() > 0 or padding == "zeros"
