"""ResNet-34 (He et al., CVPR 2016), whose stages pixelNeRF puts side by side as image features."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from maskrf_core.model.layers import views_at_once


class ResidualBlock(nn.Module):
    """ResNet's basic block, by torchvision's names."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        shortcut = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.downsample = nn.Sequential(*shortcut) if stride != 1 or inputs != outputs else None

    def forward(self, x: Float[Tensor, "view _ _ _"]) -> Float[Tensor, "view _ _ _"]:
        residual = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(residual + (x if self.downsample is None else self.downsample(x)))


class ResNet34Stages(nn.Module):
    """ResNet-34 up to its third stage, by torchvision's names; all stages side by side at half the resolution.

    Its batch norms see all views of a training step together. `pooled` as ResNet itself is: a max-pool before the first
    stage halves the resolution that the stages see once more.
    """

    def __init__(self, *, pooled: bool = False):
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, 1) if pooled else nn.Identity()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        stages = zip(pairwise((64, 64, 128, 256)), (3, 4, 6), (1, 2, 2), strict=True)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(
                ResidualBlock(inputs, outputs, stride), *(ResidualBlock(outputs, outputs, 1) for _ in range(blocks - 1))
            )
            for (inputs, outputs), blocks, stride in stages
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "view 3 height width"]) -> Float[Tensor, "view 512 _ _"]:
        parts = [slice(None)] if self.training else views_at_once(len(images), *images.shape[-2:])
        return torch.cat([self._encoded(images[part]) for part in parts])

    def _encoded(self, images: Float[Tensor, "view 3 height width"]) -> Float[Tensor, "view 512 _ _"]:
        stages = [functional.relu(self.bn1(self.conv1(images * 2 - 1)))]
        x = self.pool(stages[0])
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x)
            stages.append(x)
        resized = {"size": stages[0].shape[-2:], "mode": "bilinear", "align_corners": True}
        return torch.cat([functional.interpolate(stage, **resized) for stage in stages], dim=1)
