"""Raw visibility features from depth maps (NeuRay, arXiv 2107.13421, section 3.4)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskrf_core.datasets.batches.batch import SourceViews, Views
from maskrf_core.model.consistency import consistency_features
from maskrf_core.model.image_encoder import ResidualUNet
from maskrf_core.model.layers import views_at_once
from maskrf_core.model.sampling import depth_from_normalised, normalised_inverse_depth
from maskrf_core.support.errors import DatasetError


class DepthVisibilityInit(nn.Module):
    """Raw visibility features (NeuRay's G′) of reference views from their depth maps: [view 32 height/4 width/4].

    An unknown depth (0) is taken for near.

    Raises:
        DatasetError: the views have no depth maps.
    """

    def __init__(self):
        super().__init__()
        self.encoder = ResidualUNet(12, 32, stem_channels=32, stem_size=8, stem_padding=2, blocks=(2, 2, 2))
        self.depth_skip = nn.Sequential(nn.Conv2d(1, 8, 2, 2), nn.ReLU(), nn.Conv2d(8, 16, 2, 2))
        self.head = nn.Conv2d(16 + 32, 32, 1)

    def forward(self, references: Views, sources: SourceViews | None = None) -> Float[Tensor, "view 32 _ _"]:
        if references.depths is None:
            raise DatasetError(
                "visibility from depth needs a depth map of every reference view, and this batch has none: estimate "
                "them with maskrf_core.datasets.depth.depth_maps."
            )
        near, far = (bound[:, None, None, None] for bound in references.depth_range.unbind(dim=1))
        position = normalised_inverse_depth(references.depths, near, far).clamp(0, 1)
        depths = depth_from_normalised(position, near, far)

        def features(of: slice) -> Float[Tensor, "view 32 _ _"]:
            consistency = consistency_features(references, depths, of)
            return self.encoder(torch.cat([references.images[of], position[of], consistency], dim=1))

        encoded = torch.cat([features(of) for of in views_at_once(len(references), *references.image_size)])
        return self.head(torch.cat([self.depth_skip(position), encoded], dim=1))
