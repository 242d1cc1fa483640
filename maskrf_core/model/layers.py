"""Parts that several networks share, and the residual U-Net that turns images into features (after IBRNet)."""

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


ENCODED_AT_ONCE = 2**20  # pixels encoded together where nothing is kept for a backward pass: it bounds the memory


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


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around a skip; a strided 1×1 convolution on the skip where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.convolution1 = convolution(inputs, outputs, stride=stride)
        self.norm1 = instance_norm(outputs)
        self.convolution2 = convolution(outputs, outputs)
        self.norm2 = instance_norm(outputs)
        changes_shape = stride != 1 or inputs != outputs
        self.skip = (
            nn.Sequential(convolution(inputs, outputs, 1, stride), instance_norm(outputs)) if changes_shape else None
        )

    def forward(self, x: Float[Tensor, "view inputs _ _"]) -> Float[Tensor, "view outputs _ _"]:
        residual = functional.relu(self.norm1(self.convolution1(x)))
        residual = self.norm2(self.convolution2(residual))
        return functional.relu(residual + (x if self.skip is None else self.skip(x)))


class ResidualUNet(nn.Module):
    """Three strided residual stages down, two bilinear steps up with skips: a map at 1/4 resolution.

    The stem is a strided convolution to `stem_channels`; `blocks` counts the residual blocks of the three stages, which
    have 1, 2 and 4 times `width` channels; the map has `width`. Image sides should be multiples of 16: with others, a
    row or column is lost at a skip.
    """

    def __init__(
        self,
        inputs: int,
        *,
        stem_channels: int,
        stem_size: int,
        stem_padding: int,
        blocks: tuple[int, int, int],
        width: int = 32,
    ):
        super().__init__()
        self.stem = nn.Sequential(
            convolution(inputs, stem_channels, stem_size, 2, padding=stem_padding), instance_norm(stem_channels)
        )
        self.stage1 = _stage(stem_channels, width, blocks[0])
        self.stage2 = _stage(width, 2 * width, blocks[1])
        self.stage3 = _stage(2 * width, 4 * width, blocks[2])
        self.up2 = _convolution_norm_elu(4 * width, 2 * width)
        self.merge2 = _convolution_norm_elu(4 * width, 2 * width)
        self.up1 = _convolution_norm_elu(2 * width, width)
        self.merge1 = _convolution_norm_elu(2 * width, width)
        self.head = nn.Conv2d(width, width, 1)
        self.doubled = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)

    def forward(self, images: Float[Tensor, "view inputs height width"]) -> Float[Tensor, "view _ _ _"]:
        def encoded(images: Tensor) -> Tensor:
            level1 = self.stage1(functional.relu(self.stem(images)))
            level2 = self.stage2(level1)
            x = self.merge2(_beside(self.up2(self.doubled(self.stage3(level2))), level2))
            return self.head(self.merge1(_beside(self.up1(self.doubled(x)), level1)))

        return torch.cat([encoded(images[part]) for part in views_at_once(len(images), *images.shape[-2:])])


def image_encoder() -> ResidualUNet:
    """Make the encoder of colours: [view 3 height width] in [0, 1] → [view 32 height/4 width/4]."""
    return ResidualUNet(3, stem_channels=16, stem_size=7, stem_padding=3, blocks=(1, 2, 6))


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    first = ResidualBlock(inputs, outputs, stride=2)  # before the others: their weights are drawn in this order
    return nn.Sequential(first, *(ResidualBlock(outputs, outputs) for _ in range(blocks - 1)))


def _convolution_norm_elu(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(convolution(inputs, outputs, bias=True), instance_norm(outputs), nn.ELU())


def _beside(upsampled: Tensor, skip: Tensor) -> Tensor:
    """Concatenate along channels, the upsampled map first cut (or padded with zeros) to the size of the skip.

    A stage rounds odd sizes up, so doubling gives a row or column too many; the first one goes. Published checkpoints
    were trained so.
    """
    rows, columns = skip.shape[-2] - upsampled.shape[-2], skip.shape[-1] - upsampled.shape[-1]
    if rows or columns:
        upsampled = functional.pad(upsampled, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
    return torch.cat([upsampled, skip], dim=1)
