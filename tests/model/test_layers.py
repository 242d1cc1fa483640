import pytest
import torch
from torch import nn
from torch.nn import functional

from maskrf_core.model.layers import (
    Linear,
    ResidualBlock,
    ResidualUNet,
    _beside,
    convolution,
    image_encoder,
    instance_norm,
    linear_of_shared_and_own,
    mlp,
    weighted_mean_and_variance,
)


def test_mlp_layout():
    kinds = [type(layer) for layer in mlp([3, 5, 2], nn.ELU, nn.Sigmoid)]
    assert kinds == [Linear, nn.ELU, Linear, nn.Sigmoid]
    assert [type(layer) for layer in mlp([3, 5, 2], nn.ReLU)] == [Linear, nn.ReLU, Linear]


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


def test_shapes_at_a_quarter():
    encoder = image_encoder().eval()
    with torch.no_grad():
        assert encoder(torch.rand(2, 3, 48, 64)).shape == (2, 32, 12, 16)
        assert encoder(torch.rand(1, 3, 44, 52)).shape == (1, 32, 11, 13)  # odd sizes on the way down


def test_stages_have_the_published_blocks():
    encoder = image_encoder()
    stages = [encoder.stage1, encoder.stage2, encoder.stage3]
    assert [len(stage) for stage in stages] == [1, 2, 6]
    assert [stage[0].convolution1.out_channels for stage in stages] == [32, 64, 128]
    assert all(stage[0].convolution1.stride == (2, 2) for stage in stages)
    assert all(block.skip is None for stage in stages for block in list(stage)[1:])


def test_views_do_not_mix_and_mode_changes_nothing():
    encoder = image_encoder()
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        together = encoder(images)
        torch.testing.assert_close(encoder(images[2:]), together[2:], atol=1e-3, rtol=0)
        torch.testing.assert_close(encoder.eval()(images), together)


def test_residual_block_against_its_formula():
    block = ResidualBlock(4, 6, stride=2).double()
    x = torch.rand(2, 4, 8, 10, dtype=torch.float64)

    def normalised(maps):
        return (maps - maps.mean(dim=(2, 3), keepdim=True)) / (
            maps.var(dim=(2, 3), keepdim=True, unbiased=False) + 1e-5
        ).sqrt()

    def convolved(maps, layer, stride):
        padded = functional.pad(maps, (1, 1, 1, 1), mode="reflect") if layer.kernel_size == (3, 3) else maps
        return normalised(functional.conv2d(padded, layer.weight, stride=stride))

    residual = convolved(convolved(x, block.convolution1, 2).clamp(min=0), block.convolution2, 1)
    expected = (residual + convolved(x, block.skip[0], 2)).clamp(min=0)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, 0), (0, 1), (2, 3), (-1, 0), (0, -1), (-1, -1)])
def test_sizes_meet_at_a_skip(rows: int, columns: int):
    """What is missing is zero, half of it before; what is too much is cut, the first row or column of it."""
    upsampled = torch.rand(1, 2, 4, 6)
    skip = torch.rand(1, 3, 4 + rows, 6 + columns)
    both = _beside(upsampled, skip)
    assert both.shape == (1, 5, 4 + rows, 6 + columns)
    assert torch.equal(both[:, 2:], skip)
    for row in range(4 + rows):
        for column in range(6 + columns):
            from_row, from_column = row - rows // 2, column - columns // 2
            inside = 0 <= from_row < 4 and 0 <= from_column < 6
            expected = upsampled[0, :, from_row, from_column] if inside else torch.zeros(2)
            assert torch.equal(both[0, :2, row, column], expected)


def test_stem_of_the_visibility_encoder_loses_no_quarter():
    """Its 8×8 stem pads by 2 and makes n/2 - 1; the stages round up, so a quarter of the image remains."""
    encoder = ResidualUNet(12, stem_channels=32, stem_size=8, stem_padding=2, blocks=(2, 2, 2))
    with torch.no_grad():
        assert encoder.stem(torch.rand(1, 12, 32, 36)).shape[-2:] == (15, 17)
        assert encoder(torch.rand(1, 12, 32, 36)).shape == (1, 32, 8, 9)


def test_gradient_reaches_every_parameter():
    encoder = image_encoder()
    encoder(torch.rand(1, 3, 32, 32)).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())
    assert all(parameter.grad.abs().max() > 0 for name, parameter in encoder.named_parameters() if "weight" in name)
