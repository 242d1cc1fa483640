import pytest
import torch
from torch import nn

from maskrf_core.model.layers import (
    Linear,
    convolution,
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
