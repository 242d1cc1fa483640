"""Weights of a pass, laid out in one row of numbers as its kernels read them.

Kernels take sides that are powers of two, of 16 at the least. A layer's matrix is therefore padded with zeros, and laid
out input by input; its bias follows. Where inputs come from several places, each has rows of its own.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

ALIGNED = 16  # numbers: where each layer begins


class Layer(NamedTuple):
    """A linear layer of the pass, or those of its outputs that are computed together."""

    name: str
    inputs: tuple[tuple[int, int, int], ...]  # first, end, and how many rows these take in the kernel
    outputs: tuple[int, int, int]  # first, end, and how many columns these take
    biased: bool = True

    @property
    def size(self) -> int:
        """Return how many numbers it takes, before the next one is aligned."""
        return (sum(rows for *_, rows in self.inputs) + self.biased) * self.outputs[2]


def dense(name: str, inputs: int, outputs: int, rows: int = 0, columns: int = 0, *, biased: bool = True) -> Layer:
    """Make a layer whose inputs come from one place."""
    return Layer(name, ((0, inputs, rows or inputs),), (0, outputs, columns or outputs), biased)


def _decoder(head: str, components: int) -> dict[str, Layer]:
    name = f"distribution_decoder.{head}"
    layers = {f"{head}.{place}": dense(f"{name}.{place}", 32, 32) for place in (0, 2)}
    ends = {f"{head}.4.{k}": Layer(f"{name}.4", ((0, 32, 32),), (k, k + 1, 1)) for k in range(components)}
    return layers | ends


_OF_STATISTICS = tuple(
    part for first in range(0, 140, 35) for part in ((first, first + 3, 16), (first + 3, first + 35, 32))
)
POINT_LAYERS: Mapping[str, Layer] = {
    **_decoder("mean", 2),
    **_decoder("sharpness", 2),
    **_decoder("mixing_weight", 1),
    "direction.0": dense("aggregation.direction.0", 4, 16),
    "direction.2.colour": Layer("aggregation.direction.2", ((0, 16, 16),), (0, 3, 16)),
    "direction.2.image": Layer("aggregation.direction.2", ((0, 16, 16),), (3, 35, 32)),
    "embedding.0": Layer("aggregation.ray_embedding.0", ((0, 32, 32), (32, 34, 2)), (0, 32, 32)),
    "embedding.2": dense("aggregation.ray_embedding.2", 32, 32),
    "trust.0": dense("aggregation.visibility_weight.0", 32, 8, columns=16),
    "trust.2": dense("aggregation.visibility_weight.2", 8, 1, rows=16),
    "base.0": Layer(
        "aggregation.base.0", (*_OF_STATISTICS, (140, 143, 16), (143, 175, 32), (175, 207, 32)), (0, 64, 64)
    ),
    "base.2": dense("aggregation.base.2", 64, 32),
    "residual.0": dense("aggregation.residual_and_visibility.0", 32, 32),
    "residual.2": Layer("aggregation.residual_and_visibility.2", ((0, 32, 32),), (0, 32, 32)),
    "residual.2.logit": Layer("aggregation.residual_and_visibility.2", ((0, 32, 32),), (32, 33, 1)),
    "visibility.0": dense("aggregation.visibility.0", 32, 32),
    "visibility.2": dense("aggregation.visibility.2", 32, 1),
    "geometry.0": Layer("aggregation.geometry.0", ((0, 32, 32), (32, 64, 32), (64, 65, 1)), (0, 64, 64)),
    "geometry.2": dense("aggregation.geometry.2", 64, 16),
    "blending.0": Layer("aggregation.blending.0", ((0, 32, 32), (32, 33, 1), (33, 37, 4)), (0, 16, 16)),
    "blending.2": dense("aggregation.blending.2", 16, 8, columns=16),
    "blending.4": dense("aggregation.blending.4", 8, 1, rows=16),
    "token.colour": Layer("aggregation.mask_token", (), (0, 3, 16)),
    "token.image": Layer("aggregation.mask_token", (), (3, 35, 32)),
}
RAY_LAYERS: Mapping[str, Layer] = {
    **{
        name: dense(f"aggregation.ray_attention.{name}", 16, 16, biased=False)
        for name in ("query", "key", "value", "output")
    },
    "norm.weight": Layer("aggregation.ray_attention.norm.weight", (), (0, 16, 16)),
    "norm.bias": Layer("aggregation.ray_attention.norm.bias", (), (0, 16, 16)),
    "density.0": dense("aggregation.density.0", 16, 16),
    "density.2": dense("aggregation.density.2", 16, 1),
}


def places(layers: Mapping[str, Layer]) -> dict[str, int]:
    """Return where each layer begins, and under `end` how long the whole row is."""
    found, at = {}, 0
    for name, layer in layers.items():
        found[name] = at
        at += -(-layer.size // ALIGNED) * ALIGNED
    return found | {"end": at}


def names_of(layers: Mapping[str, Layer]) -> list[str]:
    """Name the parameters that the layers read, each once."""
    named = (
        name
        for layer in layers.values()
        for name in ([f"{layer.name}.weight"] + [f"{layer.name}.bias"] * layer.biased if layer.inputs else [layer.name])
    )
    return list(dict.fromkeys(named))


def packed(render_pass: nn.Module, layers: Mapping[str, Layer]) -> Float[Tensor, "number"]:
    """Lay out the pass's weights; differentiable."""
    parameters = [render_pass.get_parameter(name) for name in names_of(layers)]
    shapes = tuple(tuple(parameter.shape) for parameter in parameters)
    index = _index(tuple(layers.items()), shapes, parameters[0].device)
    flat = torch.cat([*(parameter.reshape(-1) for parameter in parameters), parameters[0].new_zeros(1)])
    return flat.index_select(0, index)


@lru_cache(maxsize=8)
def _index(
    layers: tuple[tuple[str, Layer], ...], shapes: tuple[tuple[int, ...], ...], device: torch.device
) -> Int64[Tensor, "number"]:
    """Return which number of all parameters, one after the other, stands at each place; behind them is a zero."""
    numbered, first = {}, 0
    for name, shape in zip(names_of(dict(layers)), shapes, strict=True):
        count = torch.Size(shape).numel()
        numbered[name] = torch.arange(first, first + count).view(shape)
        first += count

    def padded(part: Tensor, rows: int, columns: int) -> Tensor:
        whole = torch.full((rows, columns), first)
        whole[: part.shape[0], : part.shape[1]] = part
        return whole.view(-1)

    row = []
    for _, layer in layers:
        begin, end, columns = layer.outputs
        if layer.inputs:
            matrix = numbered[f"{layer.name}.weight"][begin:end].T
            row += [padded(matrix[of:to], rows, columns) for of, to, rows in layer.inputs]
        if layer.biased:
            values = numbered[f"{layer.name}.bias" if layer.inputs else layer.name]
            row.append(padded(values[None, begin:end], 1, columns))
        row.append(torch.full((-layer.size % ALIGNED,), first))
    with torch.inference_mode(False):
        return torch.cat(row).to(device)
