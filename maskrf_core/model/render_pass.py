"""One pass, coarse or fine: from samples on rays to what they show."""

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskrf_core.model.aggregators.neuray import AggregationNetwork, PointPrediction, ViewSamples
from maskrf_core.model.compositing import hit_probability_of
from maskrf_core.model.direct_rendering import direct_colours_of_rays
from maskrf_core.model.fast.thinning import ThinnedSamples
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, gather_samples, towards_query
from maskrf_core.model.rendering import PassRendering
from maskrf_core.model.sampling import intervals
from maskrf_core.model.visibility import (
    DistributionDecoder,
    PointVisibility,
    SurfaceDistribution,
    visibility_of_samples,
)


class PassPrediction(NamedTuple):
    """What one pass says of its samples."""

    valid: Bool[Tensor, "view ray sample"]
    """The sample projects into the view."""
    points: PointPrediction
    direct_rgb: Float[Tensor, "ray 3"] | None
    """Colours of the rays by the direct head, where it is on."""


class RenderPass(nn.Module):
    """The networks of one pass: what each view says of a sample, and what all of them together say.

    With `direct_rendering`, the rays are also rendered from the visibility of the views alone.
    """

    network_precision: torch.dtype | None = None
    """What the networks multiply in (autocast). Cameras, depths, and what is composited stay what they are."""

    def __init__(self, *, direct_rendering: bool = False):
        super().__init__()
        self.direct_rendering = direct_rendering
        self.distribution_decoder = DistributionDecoder()
        self.aggregation = AggregationNetwork()

    def forward(
        self,
        features: ReferenceFeatures,
        rays: QueryRays,
        depths: Float[Tensor, "ray sample"],
        *,
        mask: Bool[Tensor, "view ray sample"] | None,
        chosen: ThinnedSamples | None = None,
    ) -> PassPrediction:
        """Look at the samples at `depths` in every view and predict them; `mask` and `chosen` as in
        `AggregationNetwork`."""
        samples, visibility = self.look(features, rays, depths, chosen=chosen)
        with self._in_network_precision(depths.device):
            points = self.aggregation(samples, visibility, mask=mask, chosen=chosen)
        points = PointPrediction(*(part.to(depths.dtype) for part in points))
        direct = None
        if self.direct_rendering:
            weight = None if chosen is None else chosen.weight
            direct = direct_colours_of_rays(samples, visibility, towards_query(rays), weight=weight)
        return PassPrediction(samples.valid, points, direct)

    def look(
        self,
        features: ReferenceFeatures,
        rays: QueryRays,
        depths: Float[Tensor, "ray sample"],
        *,
        chosen: ThinnedSamples | None = None,
    ) -> tuple[ViewSamples, PointVisibility]:
        """Gather what the views hold at the samples and decode how visible the samples are in them."""
        samples, position = gather_samples(features, rays, depths)
        with self._in_network_precision(depths.device):
            distribution = self.distribution_decoder(samples.ray_features)
        distribution = SurfaceDistribution(*(part.to(depths.dtype) for part in distribution))
        lengths = intervals(depths, rays.depth_range)
        return samples, visibility_of_samples(distribution, position, lengths, samples.valid, chosen=chosen)

    def _in_network_precision(self, device: torch.device) -> AbstractContextManager:
        precision = self.network_precision
        return nullcontext() if precision is None else torch.autocast(device.type, precision, cache_enabled=False)


def volume_render(
    points: PointPrediction,
    depths: Float[Tensor, "ray sample"],
    ray_mask: Bool[Tensor, "ray"],
    direct_rgb: Float[Tensor, "ray 3"] | None = None,
) -> PassRendering:
    """Alpha-composite the samples from front to back; `ray_mask` and `direct_rgb` are handed through.

    alpha = 1 - exp(-density), without an interval length, as IBRNet's checkpoints and those after it are trained.
    """
    hit_probability = hit_probability_of(1 - torch.exp(-points.density))
    rgb = (hit_probability[..., None] * points.colours).sum(dim=1)
    depth = (hit_probability * depths).sum(dim=1)
    return PassRendering(rgb, depth, hit_probability, depths, ray_mask, direct_rgb)
