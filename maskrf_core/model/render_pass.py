"""One pass, coarse or fine: from samples on rays to what they show."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskrf_core.model.aggregation import AggregationNetwork, PointPrediction, ViewSamples
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, gather_samples
from maskrf_core.model.rendering import PassRendering
from maskrf_core.model.sampling import intervals
from maskrf_core.model.visibility import DistributionDecoder, PointVisibility, visibility_of_samples


class RenderPass(nn.Module):
    """The networks of one pass: what each view says of a sample, and what all of them together say."""

    def __init__(self):
        super().__init__()
        self.distribution_decoder = DistributionDecoder()
        self.aggregation = AggregationNetwork()

    def forward(
        self,
        features: ReferenceFeatures,
        rays: QueryRays,
        depths: Float[Tensor, "ray sample"],
        *,
        mask: Bool[Tensor, "view ray sample"] | None,
    ) -> tuple[ViewSamples, PointPrediction]:
        """Look at the samples at `depths` in every view and predict them; `mask` as in `AggregationNetwork`."""
        samples, visibility = self.look(features, rays, depths)
        return samples, self.aggregation(samples, visibility, mask=mask)

    def look(
        self, features: ReferenceFeatures, rays: QueryRays, depths: Float[Tensor, "ray sample"]
    ) -> tuple[ViewSamples, PointVisibility]:
        """Gather what the views hold at the samples and decode how visible the samples are in them."""
        samples, position = gather_samples(features, rays, depths)
        distribution = self.distribution_decoder(samples.ray_features)
        visibility = visibility_of_samples(distribution, position, intervals(depths, rays.depth_range), samples.valid)
        return samples, visibility


def volume_render(
    prediction: PointPrediction, depths: Float[Tensor, "ray sample"], ray_mask: Bool[Tensor, "ray"]
) -> PassRendering:
    """Alpha-composite the samples from front to back.

    alpha = 1 - exp(-density), without an interval length, as IBRNet's checkpoints and those after it are trained; a
    sample's hit probability is its alpha times the product of 1 - alpha over the samples before it.
    """
    alpha = 1 - torch.exp(-prediction.density)
    passes = torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha[:, :-1] + 1e-10], dim=1)
    hit_probability = alpha * passes.cumprod(dim=1)
    rgb = (hit_probability[..., None] * prediction.colours).sum(dim=1)
    return PassRendering(rgb, (hit_probability * depths).sum(dim=1), hit_probability, depths, ray_mask)
