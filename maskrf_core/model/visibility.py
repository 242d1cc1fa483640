"""Visibility of points in reference views: features, the distributions decoded from them, and the direct head.

After NeuRay (Liu et al., CVPR 2022, arXiv 2107.13421), sections 3.3 and 3.4. The optional direct head renders from
visibility alone, without the aggregation network, and has no weights of its own: what the views' own distributions say
of a sample gives its opacity; a smooth function of direction through the views' colours gives its colour.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskrf_core.model.gathering import ViewSamples
from maskrf_core.model.layers import ELU, PreActivationBlock, convolution, mlp
from maskrf_core.model.rendering import hit_probability_of
from maskrf_core.model.sampling import RaySamples

INVALID_LOGIT = -15.0  # alpha logit of a view that the sample does not project into
RIDGE = (0.0, *[0.001] * 3, *[0.005] * 5, *[0.05] * 7)  # penalty on each harmonic's squared coefficient, by degree
SMALLEST_WEIGHT = 1e-4  # added to the weight of each view where all weights together are less than this


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


def direct_colours_of_rays(
    views: ViewSamples, visibility: PointVisibility, to_query: Float[Tensor, "ray 3"], samples: RaySamples
) -> Float[Tensor, "ray 3"]:
    """Composite the colours of the rays; `to_query` is the unit vector from the samples to the query camera.

    Near [0, 1], but not clipped: the fitted functions of direction may overshoot. Differentiable in everything.
    A sample of weight m is as opaque as m equal ones one behind the other.
    """
    alpha = direct_alpha(visibility, views.valid)
    if samples.weight is not None:
        alpha = 1 - (1 - alpha) ** samples.weight
    hit_probability = hit_probability_of(alpha)
    to_query = to_query[:, None]
    to_views = views.direction_difference[..., :3] + to_query  # undo the difference: no direction is kept
    fitted = fitted_colours(views.colours, fit_weights(visibility.hit_probability), to_views, to_query)
    return (hit_probability[..., None] * fitted).sum(dim=1)


def direct_alpha(visibility: PointVisibility, valid: Bool[Tensor, "view ray sample"]) -> Float[Tensor, "ray sample"]:
    """Return the opacity of each sample: its logits in the views, blended by its visibility in them.

    A view's alpha is the probability that the surface lies within the sample's interval, given that nothing stands
    before it. 0 where no view is valid, like the density of the learned aggregation.
    """
    visible, hit = visibility
    logits = torch.log(hit / (visible - hit + 1e-5) + 1e-5).masked_fill(~valid, INVALID_LOGIT)
    blended = (logits * visible).sum(dim=0) / (visible.sum(dim=0) + 1e-5)
    return torch.sigmoid(blended) * valid.any(dim=0)


def fit_weights(hit_probability: Float[Tensor, "view ray sample"]) -> Float[Tensor, "view ray sample"]:
    """Return each view's weight in the fit: its share of the hit probability, never 0 in all views."""
    weights = hit_probability / (hit_probability.sum(dim=0) + 1e-3)
    return torch.where(weights.sum(dim=0) < SMALLEST_WEIGHT, weights + SMALLEST_WEIGHT, weights)


def fitted_colours(
    colours: Float[Tensor, "view ray sample 3"],
    weights: Float[Tensor, "view ray sample"],
    to_views: Float[Tensor, "view ray sample 3"],
    to_query: Float[Tensor, "ray 1 3"],
) -> Float[Tensor, "ray sample 3"]:
    """Return the colour towards the query of the spherical function that fits the views' colours best, by sample.

    It minimises Σ weight · (colour - f(direction))² + Σ ridge · coefficient², f a sum of harmonics. The normal matrix N
    is the same for the three channels, and positive definite: the constant harmonic, which no ridge holds down, has the
    sum of the weights. So one Cholesky solution of N x = harmonics(query) says how much of each view's colour to take.
    """
    harmonics = spherical_harmonics(to_views)
    weighted = weights[..., None] * harmonics
    normal = weighted.movedim(0, -1) @ harmonics.movedim(0, -2)
    ridge = torch.cat([normal.new_full((1,), penalty) for penalty in RIDGE])  # no copy that a GPU is waited for
    normal.diagonal(dim1=-2, dim2=-1).add_(ridge)
    of_query = spherical_harmonics(to_query).expand(*normal.shape[:-2], -1)
    factor = torch.linalg.cholesky_ex(normal).L  # unchecked: what is not finite shall reach the loss, which names it
    solution = torch.cholesky_solve(of_query[..., None], factor)[..., 0]
    shares = (weighted * solution).sum(dim=-1)
    return (shares[..., None] * colours).sum(dim=0)


def spherical_harmonics(directions: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 16"]:
    """Return the real spherical harmonics of degrees 0 to 3 of unit vectors: orthogonal, not normalised."""
    x, y, z = directions.unbind(dim=-1)
    xx, yy, zz = x * x, y * y, z * z
    linear = [torch.ones_like(x), x, y, z]
    square = [x * y, y * z, 2 * zz - xx - yy, z * x, xx - yy]
    cubic = [(3 * xx - yy) * y, x * y * z, y * (4 * zz - xx - yy), z * (2 * zz - 3 * xx - 3 * yy)]
    cubic += [x * (4 * zz - xx - yy), (xx - yy) * z, (xx - 3 * yy) * x]
    return torch.stack([*linear, *square, *cubic], dim=-1)
