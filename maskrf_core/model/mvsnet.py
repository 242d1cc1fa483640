"""MVSNet (Yao et al., ECCV 2018): the distribution of each pixel's depth from neighbouring views. Frozen.

Its weights are published by themselves (`checkpoints.mvsnet_weights`) and are part of every checkpoint of a renderer
with cost volumes.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from maskrf_core.cameras import warp_to_planes
from maskrf_core.datasets.batches.batch import SourceViews, Views
from maskrf_core.model.sampling import coarse_depths

PLANES_AT_ONCE = 4  # planes warped together: all at once would take several times the memory of the volume itself
PLANES = 64  # depths before a view at which its features are compared with those of its neighbours
FEATURE_LAYERS = ((3, 8, 1), (8, 8, 1), (8, 16, 2), (16, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1))
"""Input channels, output channels and stride of the convolutions of images; 5×5 where strided, else 3×3."""
SLOPE = 0.01  # of the leaky ReLU below zero


class MVSNet(nn.Module):
    """[view 64 height/4 width/4]: the probability that a reference view's surface lies at each of 64 planes.

    No part of it is ever trained: parameters have no gradients, batch-norms always use their running statistics, and
    the answer carries no graph.
    """

    def __init__(self):
        super().__init__()
        layers = []
        for inputs, outputs, stride in FEATURE_LAYERS:
            size = 3 if stride == 1 else 5
            convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
            layers.append(_normalised(convolution, nn.BatchNorm2d))
        self.features = nn.Sequential(*layers, nn.Conv2d(32, 32, 3, padding=1))
        self.regularisation = CostRegularisation()
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "MVSNet":
        """Stay in evaluation mode, whatever the modules around it do."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, references: Views, sources: SourceViews) -> Float[Tensor, "view 64 _ _"]:
        """Match images, normalised as ImageNet's, at planes uniform in inverse depth over each reference's own range.

        Memory is that of one reference's volume: views are encoded, and volumes made, one by one.
        """
        images = [*references.images, *sources.views.images]
        maps = torch.cat([self.features(image[None]) for image in images])
        K = torch.cat([references.K, sources.views.K])
        K = torch.cat([K[:, :2] * 0.25, K[:, 2:]], dim=1)
        w2c = torch.cat([references.w2c, sources.views.w2c])
        probabilities = []
        for index, neighbours in enumerate(sources.neighbours):
            others = (maps[neighbours], K[neighbours], w2c[neighbours])
            planes = plane_depths(references.depth_range[index])
            cost = self.regularisation(matching_cost(maps[index], K[index], w2c[index], *others, planes)[None])[0, 0]
            probabilities.append(torch.where(cost.isnan(), 0, cost).softmax(dim=0))  # not a number: says nothing
        return torch.stack(probabilities)


def matching_cost(
    reference: Float[Tensor, "channel map_height map_width"],
    reference_K: Float[Tensor, "3 3"],
    reference_w2c: Float[Tensor, "3 4"],
    sources: Float[Tensor, "source channel map_height map_width"],
    K: Float[Tensor, "source 3 3"],
    w2c: Float[Tensor, "source 3 4"],
    depths: Float[Tensor, "plane"],
) -> Float[Tensor, "channel plane map_height map_width"]:
    """Return the variance of the features over the reference and its sources, at planes before the reference.

    Computed as E[x²] - E[x]², as MVSNet's weights were trained, so that rounding can leave it a little below zero.
    Without sources it is 0 everywhere.
    """
    volume = reference.new_zeros(len(reference), len(depths), *reference.shape[1:])
    if len(sources) == 0:
        return volume
    of_reference, views = reference[:, None], 1 + len(sources)
    for first in range(0, len(depths), PLANES_AT_ONCE):
        planes = slice(first, first + PLANES_AT_ONCE)
        at = (reference_K, reference_w2c, depths[planes, None, None], tuple(reference.shape[1:]))
        warped = torch.stack([
            warp_to_planes(*source, *at, padding="zeros")[0] for source in zip(sources, K, w2c, strict=True)
        ])  # fmt: skip
        mean = (of_reference + warped.sum(dim=0)) / views
        mean_square = (of_reference.square() + warped.square_().sum(dim=0)) / views
        volume[:, planes] = mean_square - mean.square()
    return volume


def plane_depths(depth_range: Float[Tensor, "2"]) -> Float[Tensor, "64"]:
    """Return the z-depths of the planes before one view, from near to far."""
    return coarse_depths(depth_range, 1, PLANES)[0]


class CostRegularisation(nn.Module):
    """A 3-D U-Net: [1 32 plane height width] matching cost → [1 1 plane height width], before the softmax.

    Sides and planes should be multiples of 8; else what comes up is resized to its skip.
    """

    def __init__(self):
        super().__init__()
        self.down0 = _convolution(32, 8)
        self.down1 = _convolution(8, 16, stride=2)
        self.down2 = _convolution(16, 16)
        self.down3 = _convolution(16, 32, stride=2)
        self.down4 = _convolution(32, 32)
        self.down5 = _convolution(32, 64, stride=2)
        self.down6 = _convolution(64, 64)
        self.up0 = _transposed(64, 32)
        self.up1 = _transposed(32, 16)
        self.up2 = _transposed(16, 8)
        self.head = nn.Conv3d(8, 1, 3, padding=1)

    def forward(self, cost: Float[Tensor, "1 32 plane height width"]) -> Float[Tensor, "1 1 plane height width"]:
        full = self.down0(cost)
        half = self.down2(self.down1(full))
        quarter = self.down4(self.down3(half))
        x = self.down6(self.down5(quarter))
        for up, skip in ((self.up0, quarter), (self.up1, half), (self.up2, full)):
            x = up(x)
            if x.shape != skip.shape:
                x = functional.interpolate(x, size=skip.shape[-3:], mode="trilinear", align_corners=False)
            x = skip + x
        return self.head(x)


def _normalised(layer: nn.Module, norm: type[nn.Module] = nn.BatchNorm3d) -> nn.Sequential:
    return nn.Sequential(layer, norm(layer.out_channels), nn.LeakyReLU(SLOPE))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return _normalised(nn.Conv3d(inputs, outputs, 3, stride, padding=1, bias=False))


def _transposed(inputs: int, outputs: int) -> nn.Sequential:
    return _normalised(nn.ConvTranspose3d(inputs, outputs, 3, 2, padding=1, output_padding=1, bias=False))
