"""Visibility of points in reference views: visibility features, and the distributions decoded from them.

After NeuRay (Liu et al., CVPR 2022, arXiv 2107.13421), sections 3.3 and 3.4.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskrf_core.model.layers import ELU, PreActivationBlock, convolution, mlp
from maskrf_core.model.sampling import RaySamples


class VisibilityEncoder(nn.Sequential):
    """[image features 32, raw visibility features 32] → the views' ray features (32 channels)."""

    def __init__(self):
        super().__init__(
            convolution(64, 32), PreActivationBlock(32), PreActivationBlock(32), nn.Conv2d(32, 32, 1, bias=False)
        )


class SurfaceDistribution(NamedTuple):
    """Distribution of the surface along a reference ray: a mixture of two logistic components.

    Means and sharpnesses are in normalised inverse depth of the reference view.
    """

    means: Float[Tensor, "*points 2"]
    sharpness: Float[Tensor, "*points 2"]
    mixing_weight: Float[Tensor, "*points 1"]  # of the first component; the second has the rest

    def cdf(self, position: Float[Tensor, "*points"]) -> Float[Tensor, "*points"]:
        """Return the probability that the surface lies before `position`."""
        first, second = (
            0.5 + 0.5 * torch.tanh((position - mean) * sharpness)
            for mean, sharpness in zip(self.means.unbind(dim=-1), self.sharpness.unbind(dim=-1), strict=True)
        )
        return torch.lerp(second, first, self.mixing_weight[..., 0])


class PointVisibility(NamedTuple):
    """Visibility of each query sample in each reference view; 0 where the sample does not project into the view."""

    visibility: Float[Tensor, "view ray sample"]  # probability that nothing stands before the sample's interval
    hit_probability: Float[Tensor, "view ray sample"]  # probability that the surface lies within the interval


class DistributionDecoder(nn.Module):
    """Ray features → the distribution of the surface along that reference ray (NeuRay, section 3.3).

    Means are positive, sharpnesses at least 0.05, the mixing weight in (0, 1).
    """

    def __init__(self):
        super().__init__()
        self.mean = mlp([32, 32, 32, 2], ELU, nn.Softplus)
        self.sharpness = mlp([32, 32, 32, 2], ELU, nn.Softplus)
        self.mixing_weight = mlp([32, 32, 32, 1], ELU, nn.Sigmoid)

    def forward(self, ray_features: Float[Tensor, "*points 32"]) -> SurfaceDistribution:
        return SurfaceDistribution(
            self.mean(ray_features), self.sharpness(ray_features) + 0.05, self.mixing_weight(ray_features)
        )


def visibility_of_samples(
    distribution: SurfaceDistribution,
    position: Float[Tensor, "view ray sample"],
    samples: RaySamples,
    valid: Bool[Tensor, "view ray sample"],
) -> PointVisibility:
    """Return visibility and hit probability of samples at normalised inverse depth `position` in each view.

    A sample's interval reaches as far in each view as it does on the query ray. Both are in [0, 1], and the hit
    probability is at most the visibility.
    """
    before = distribution.cdf(position - samples.half_before)
    behind = distribution.cdf(position + samples.half_behind)
    return PointVisibility((1 - before) * valid, (behind - before) * valid)


def own_hit_probability(
    distribution: SurfaceDistribution, position: Float[Tensor, "ray sample"], intervals: Float[Tensor, "ray sample"]
) -> Float[Tensor, "ray sample"]:
    """Return the hit probability of samples at normalised inverse depth `position` on the distribution's own rays.

    `distribution` is [ray 1 …]. The samples' intervals meet halfway between them; the first begins, and the last ends,
    half its own interval outside.
    """
    halfway = (position[:, 1:] + position[:, :-1]) / 2
    first, last = position[:, :1] - intervals[:, :1] / 2, position[:, -1:] + intervals[:, -1:] / 2
    return distribution.cdf(torch.cat([first, halfway, last], dim=1)).diff(dim=1)
