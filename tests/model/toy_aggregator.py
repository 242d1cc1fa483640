"""An aggregator of one's own in a few lines: the mean over views."""

import torch
from torch import Tensor, nn

from maskrf_core.model.aggregators.contract import Aggregator, Rendered
from maskrf_core.model.rendering import PointPrediction


class MeanOverViews(Aggregator):
    def __init__(self, rendered: Rendered = "coarse"):
        super().__init__(rendered)
        self.mask_token = nn.Parameter(torch.zeros(35))
        self.scene_feature, self.radiance = nn.Sequential(nn.Linear(35, 16), nn.ELU()), nn.Linear(16, 4)

    def forward(self, views, visibility, samples, *, mask: Tensor | None) -> PointPrediction:
        features = self.masked(torch.cat([views.colours, views.image_features], dim=-1), mask)
        scene_features = self.scene_feature((features * views.valid[..., None]).mean(dim=0))
        colours, density = self.radiance(scene_features).sigmoid().split([3, 1], dim=-1)
        return PointPrediction(scene_features, density[..., 0] * views.valid.any(dim=0), colours)
