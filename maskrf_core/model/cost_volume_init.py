"""Raw visibility features from cost volumes (NeuRay, arXiv 2107.13421, section 3.4): no depth maps are needed."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from maskrf_core.datasets.batches.batch import SourceViews, Views
from maskrf_core.model.image_encoder import ResidualUNet
from maskrf_core.model.layers import PreActivationBlock, convolution
from maskrf_core.model.mvsnet import PLANES, MVSNet, plane_depths
from maskrf_core.model.sampling import normalised_inverse_depth
from maskrf_core.support.errors import DatasetError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1]: what MVSNet's images are normalised by."""
MATCHED_AT = {(768, 1024): (576, 768), (800, 800): (640, 640)}
"""(height, width) of images, padded ones included → the size at which they are matched at evaluation, as published.
LLFF's 1008×756 are padded to 1024×768 and so are among them."""


class CostVolumeVisibilityInit(nn.Module):
    """Raw visibility features (NeuRay's G′) of reference views from matching them: [view 32 height/4 width/4].

    Raises:
        DatasetError: there are no source views to match them against.
    """

    def __init__(self):
        super().__init__()
        self.mvsnet = MVSNet()
        self.register_buffer("imagenet_mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("imagenet_std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.encoder = ResidualUNet(3, 32, stem_channels=32, stem_size=7, stem_padding=3, blocks=(2, 3, 6))
        self.volume_branch = _branch(PLANES)
        self.depth_branch = _branch(1)
        self.head = _branch(32 + 32 + 32)

    def forward(self, references: Views, sources: SourceViews | None) -> Float[Tensor, "view 32 _ _"]:
        if sources is None:
            raise DatasetError(
                "visibility from cost volumes needs source views beside the reference views, and this batch has none: "
                "make it with the renderer's `inputs`, as maskrf_core.datasets.batches.evaluation_batches does."
            )
        probabilities = self.plane_probabilities(references, sources)
        near, far = (bound[:, None, None, None] for bound in references.depth_range.unbind(dim=1))
        position = normalised_inverse_depth(expected_depth(probabilities, references.depth_range), near, far)
        parts = [self.encoder(references.images), self.volume_branch(probabilities), self.depth_branch(position)]
        return self.head(torch.cat(parts, dim=1))

    @torch.no_grad()
    def plane_probabilities(self, references: Views, sources: SourceViews) -> Float[Tensor, "view 64 _ _"]:
        """MVSNet's probabilities at a quarter of the images' resolution; at evaluation of some sizes from smaller
        images (`MATCHED_AT`), as published."""
        height, width = references.image_size
        matched = None if self.training else MATCHED_AT.get((height, width))
        references, others = (self._prepared(views, matched) for views in (references, sources.views))
        probabilities = self.mvsnet(references, SourceViews(others, sources.neighbours))
        if matched is None:
            return probabilities
        size = (height // 4, width // 4)
        return functional.interpolate(probabilities, size=size, mode="bilinear", align_corners=False)

    def _prepared(self, views: Views, size: tuple[int, int] | None) -> Views:
        """Images normalised for MVSNet and, for a size, resized to it; rows 0 and 1 of K are scaled alike."""
        images = (views.images - self.imagenet_mean) / self.imagenet_std
        if size is None or len(views) == 0:
            return views.replace(images=images)
        height, width = views.image_size
        scale = views.K.new_tensor([size[1] / width, size[0] / height, 1])
        images = functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
        return views.replace(images=images, K=views.K * scale[:, None], masks=None, depths=None, true_depths=None)


def expected_depth(
    probabilities: Float[Tensor, "view 64 _height _width"], depth_range: Float[Tensor, "view 2"]
) -> Float[Tensor, "view 1 _height _width"]:
    """Mean z-depth under the probabilities over each view's planes."""
    depths = torch.stack([plane_depths(each) for each in depth_range])
    return torch.einsum("vp,vphw->vhw", depths, probabilities)[:, None]


def _branch(inputs: int) -> nn.Sequential:
    return nn.Sequential(convolution(inputs, 32), PreActivationBlock(32), nn.Conv2d(32, 32, 1, bias=False))
