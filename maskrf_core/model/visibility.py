"""Which reference views see a point: visibility features, and the distributions decoded from them.

After NeuRay (Liu et al., CVPR 2022, arXiv 2107.13421), sections 3.3 and 3.4.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskrf_core.model.fast.thinning import ThinnedSamples
from maskrf_core.model.layers import ELU, PreActivationBlock, convolution, mlp
from maskrf_core.model.sampling import half_intervals


class VisibilityEncoder(nn.Sequential):
    """[image features 32, raw visibility features 32] → the views' ray features (32 channels)."""

    def __init__(self):
        super().__init__(
            convolution(64, 32), PreActivationBlock(32), PreActivationBlock(32), nn.Conv2d(32, 32, 1, bias=False)
        )


class SurfaceDistribution(NamedTuple):
    """Where the surface lies along a reference ray: a mixture of two logistic components.

    Means and sharpnesses are in normalised inverse depth of the reference view.
    """

    means: Float[Tensor, "*points 2"]
    sharpness: Float[Tensor, "*points 2"]
    mixing_weight: Float[Tensor, "*points 1"]
    """Of the first component; the second has the rest."""

    def cdf(self, position: Float[Tensor, "*points"]) -> Float[Tensor, "*points"]:
        """Probability that the surface lies before `position`."""
        first, second = (
            0.5 + 0.5 * torch.tanh((position - mean) * sharpness)
            for mean, sharpness in zip(self.means.unbind(dim=-1), self.sharpness.unbind(dim=-1), strict=True)
        )
        return torch.lerp(second, first, self.mixing_weight[..., 0])


class PointVisibility(NamedTuple):
    """What each reference view says of each query sample; 0 where the sample does not project into the view."""

    visibility: Float[Tensor, "view ray sample"]
    """Probability that nothing stands before the sample's interval."""
    hit_probability: Float[Tensor, "view ray sample"]
    """Probability that the surface lies within the interval."""


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
    intervals: Float[Tensor, "ray sample"],
    valid: Bool[Tensor, "view ray sample"],
    *,
    chosen: ThinnedSamples | None = None,
) -> PointVisibility:
    """Visibility and hit probability of query samples seen at normalised inverse depth `position` in each view.

    A sample's interval reaches half the query ray's intervals to both sides (see `half_intervals`), or as far as it
    does in the full list that the samples were chosen from. Both are in [0, 1], and the hit probability is at most the
    visibility.
    """
    if chosen is None:
        half_before, half_behind = half_intervals(intervals)
    else:
        half_before, half_behind = chosen.half_before, chosen.half_behind
    before = distribution.cdf(position - half_before)
    behind = distribution.cdf(position + half_behind)
    return PointVisibility((1 - before) * valid, (behind - before) * valid)


def own_hit_probability(
    distribution: SurfaceDistribution, position: Float[Tensor, "ray sample"], intervals: Float[Tensor, "ray sample"]
) -> Float[Tensor, "ray sample"]:
    """Hit probability of samples at normalised inverse depth `position` on the rays that the distribution is of.

    `distribution` is [ray 1 …]. The samples' intervals meet halfway between them; the first begins, and the last ends,
    half its own interval outside.
    """
    halfway = (position[:, 1:] + position[:, :-1]) / 2
    first, last = position[:, :1] - intervals[:, :1] / 2, position[:, -1:] + intervals[:, -1:] / 2
    return distribution.cdf(torch.cat([first, halfway, last], dim=1)).diff(dim=1)
