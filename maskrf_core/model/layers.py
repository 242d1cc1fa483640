"""Small parts that several networks share."""

import copy
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

SHORT_ROW = 16  # values that a processor computes at once


class Linear(nn.Linear):
    """`nn.Linear`, whose bias is added to the product afterwards, in place, where rows are long.

    On a CPU torch copies the bias into every row of the result before it multiplies; here a compiler adds it together
    with the activation that follows. Short rows it would walk value by value.
    """

    def forward(self, x: Float[Tensor, "*rest input"]) -> Float[Tensor, "*rest output"]:
        if self.out_features < SHORT_ROW:
            return super().forward(x)
        return functional.linear(x, self.weight).add_(self.bias)


class ELU(nn.ELU):
    """`nn.ELU`, which a compiled network computes once.

    torch's compiler makes exp(x) - 1 of it anyway, but computes that anew for everything that reads it, unless it sees
    the exponential. (Its gradient would not be finite where the exponential is not.)
    """

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        if torch.compiler.is_compiling() and not torch.is_grad_enabled():
            return torch.where(x > 0, x, torch.exp(x) - 1)
        return super().forward(x)


def mlp(sizes: list[int], hidden: type[nn.Module], output: type[nn.Module] | None = None) -> nn.Sequential:
    """Make linear layers of the given sizes with `hidden` between them and, if given, `output` after the last.

    Activations that can work in place do: what is before them is not kept for the backward pass either.
    """
    layers: list[nn.Module] = []
    activations = [*[hidden] * (len(sizes) - 2), output]
    for (inputs, outputs), kind in zip(pairwise(sizes), activations, strict=True):
        layers.append(Linear(inputs, outputs))
        if kind is not None:
            layers.append(kind(inplace=True) if kind in (ELU, nn.ReLU) else kind())
    return nn.Sequential(*layers)


def with_modules(module: nn.Module, **modules: nn.Module) -> nn.Module:
    """Copy `module` with others in place of some of its modules; the rest, and all weights, are shared."""
    variant = copy.copy(module)
    variant._modules = module._modules | modules
    return variant


def convolution(
    inputs: int, outputs: int, size: int = 3, stride: int = 1, *, padding: int | None = None, bias: bool = False
) -> nn.Conv2d:
    """Make a convolution padded by reflection, by half the kernel if nothing is said: it keeps the size at stride 1."""
    padding = (size - 1) // 2 if padding is None else padding
    return nn.Conv2d(inputs, outputs, size, stride, padding, bias=bias, padding_mode="reflect")


instance_norm = partial(nn.InstanceNorm2d, affine=True)  # of each image on its own: no view depends on the others


class PreActivationBlock(nn.Module):
    """Norm, ReLU, convolution, twice, added to the input."""

    def __init__(self, channels: int):
        super().__init__()
        parts = [
            part for _ in range(2) for part in (instance_norm(channels), nn.ReLU(), convolution(channels, channels))
        ]
        self.residual = nn.Sequential(*parts)

    def forward(self, x: Float[Tensor, "view channel _ _"]) -> Float[Tensor, "view channel _ _"]:
        return x + self.residual(x)


ENCODED_AT_ONCE = 2**20
"""Pixels of images that are encoded together where nothing is remembered for a backward pass: it bounds the memory."""


def views_at_once(views: int, height: int, width: int) -> list[slice]:
    """Divide views into those encoded at once: all for a backward pass, else as many as memory allows, at least one.

    No view's features depend on another's, so they are the same either way.
    """
    count = views if torch.is_grad_enabled() else max(1, ENCODED_AT_ONCE // (height * width))
    return [slice(first, first + count) for first in range(0, views, count)]


def linear_of_shared_and_own(
    layer: nn.Linear, shared: Float[Tensor, "*rest shared_channel"], own: Float[Tensor, "view *rest own_channel"]
) -> Float[Tensor, "view *rest output"]:
    """Apply `layer` to [shared, own], concatenated along channels, where all views have the same `shared`.

    What is shared is multiplied once, not once a view, and the wide concatenation is never made.
    """
    of_shared, of_own = layer.weight.split([shared.shape[-1], own.shape[-1]], dim=1)
    return functional.linear(own, of_own).add_(functional.linear(shared, of_shared, layer.bias))


def weighted_mean_and_variance(
    values: Float[Tensor, "view *shape"], weights: Float[Tensor, "view *#shape"]
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Return mean and population variance over views. `weights` are used as they are: they need not sum to one."""
    mean = (values * weights).sum(dim=0)
    return mean, (weights * (values - mean).square()).sum(dim=0)
