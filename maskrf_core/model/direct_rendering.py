"""The optional direct head: a picture from the visibility of the views alone, without the aggregation network.

NeuRay (Liu et al., CVPR 2022, arXiv 2107.13421): what the views' own distributions say of a sample gives its opacity;
a smooth function of direction through the views' colours gives its colour. It has no weights of its own.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskrf_core.model.gathering import ViewSamples
from maskrf_core.model.rendering import hit_probability_of
from maskrf_core.model.sampling import RaySamples
from maskrf_core.model.visibility import PointVisibility

INVALID_LOGIT = -15.0  # alpha logit of a view that the sample does not project into
RIDGE = (0.0, *[0.001] * 3, *[0.005] * 5, *[0.05] * 7)
"""Penalty on the square of each harmonic's coefficient, by degree: 0 to 3."""
SMALLEST_WEIGHT = 1e-4  # added to the weight of each view where all weights together are less than this


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
    normal.diagonal(dim1=-2, dim2=-1).add_(torch.tensor(RIDGE, dtype=normal.dtype, device=normal.device))
    of_query = spherical_harmonics(to_query).expand(*normal.shape[:-2], -1)
    factor = torch.linalg.cholesky_ex(normal).L  # unchecked: what is not finite shall reach the loss, which names it
    solution = torch.cholesky_solve(of_query[..., None], factor)[..., 0]
    shares = (weighted * solution).sum(dim=-1)
    return (shares[..., None] * colours).sum(dim=0)


def spherical_harmonics(directions: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 16"]:
    """Return the real spherical harmonics of degrees 0 to 3 of unit vectors: orthogonal, not normalised."""
    x, y, z = directions.unbind(dim=-1)
    xx, yy, zz = x * x, y * y, z * z
    flat = [torch.ones_like(x)]
    linear = [x, y, z]
    square = [x * y, y * z, 2 * zz - xx - yy, z * x, xx - yy]
    cubic = [
        (3 * xx - yy) * y,
        x * y * z,
        y * (4 * zz - xx - yy),
        z * (2 * zz - 3 * xx - 3 * yy),
        x * (4 * zz - xx - yy),
        (xx - yy) * z,
        (xx - 3 * yy) * x,
    ]
    return torch.stack([*flat, *linear, *square, *cubic], dim=-1)
