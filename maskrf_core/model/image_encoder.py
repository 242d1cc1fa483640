"""The residual U-Net that turns images into features at a quarter of their resolution (after IBRNet)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from maskrf_core.model.layers import convolution, instance_norm, views_at_once


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
    have 32, 64 and 128 channels. Image sides should be multiples of 16: with others, a row or column is lost at a skip.
    """

    def __init__(
        self, inputs: int, *, stem_channels: int, stem_size: int, stem_padding: int, blocks: tuple[int, int, int]
    ):
        super().__init__()
        self.stem = nn.Sequential(
            convolution(inputs, stem_channels, stem_size, 2, padding=stem_padding), instance_norm(stem_channels)
        )
        self.stage1 = _stage(stem_channels, 32, blocks[0])
        self.stage2 = _stage(32, 64, blocks[1])
        self.stage3 = _stage(64, 128, blocks[2])
        self.up2 = _convolution_norm_elu(128, 64)
        self.merge2 = _convolution_norm_elu(128, 64)
        self.up1 = _convolution_norm_elu(64, 32)
        self.merge1 = _convolution_norm_elu(64, 32)
        self.head = nn.Conv2d(32, 32, 1)
        self.doubled = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)

    def forward(self, images: Float[Tensor, "view inputs height width"]) -> Float[Tensor, "view 32 _ _"]:
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
    others = [ResidualBlock(outputs, outputs) for _ in range(blocks - 1)]
    return nn.Sequential(ResidualBlock(inputs, outputs, stride=2), *others)


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
