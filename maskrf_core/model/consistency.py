"""How well the depth maps of a few views agree with each other: the evidence that visibility is decoded from."""

import torch
from jaxtyping import Float
from torch import Tensor

from maskrf_core.cameras import back_project, project
from maskrf_core.datasets.batch import Views
from maskrf_core.model.layers import weighted_mean_and_variance
from maskrf_core.model.map_sampling import sample_map
from maskrf_core.model.sampling import SMALLEST_DEPTH

LARGEST_DEPTH_DIFFERENCE = 1.5
"""In lengths of the inverse depth range: a larger disagreement says nothing more."""


def consistency_features(
    views: Views, depths: Float[Tensor, "view 1 height width"]
) -> Float[Tensor, "view 8 height width"]:
    """Mean and variance, over all views it projects into, of each pixel's colour and depth disagreement.

    Channels: colour mean 3, colour variance 3, depth mean 1, depth variance 1. Every pixel is back-projected with
    `depths` (positive) and projected into every view, its own included. Depth differences are of inverse depths, in
    lengths of the inverse depth range of the view projected into. After NeuRay (arXiv 2107.13421, section 3.4).
    """
    points = back_project(views.K, views.w2c, depths[:, 0])
    colours_and_depths = torch.cat([views.images, depths], dim=1)
    # One source view at a time: all pairs at once would take `view` times the memory.
    features = [
        _view_consistency(views, colours_and_depths, points[index], views.images[index]) for index in range(len(views))
    ]
    return torch.stack(features)


def _view_consistency(
    views: Views,
    colours_and_depths: Float[Tensor, "view 4 height width"],
    points: Float[Tensor, "height width 3"],
    colours: Float[Tensor, "3 height width"],
) -> Float[Tensor, "8 height width"]:
    height, width = views.image_size
    projection = project(views.K, views.w2c, points, height, width)
    seen = sample_map(colours_and_depths, projection.pixels_xy, height, width)
    colour_difference = (seen[..., :3] - colours.permute(1, 2, 0)).abs()
    near, far = (bound[:, None, None] for bound in views.depth_range.unbind(dim=1))
    seen_inverse = 1 / seen[..., 3].clamp(min=SMALLEST_DEPTH)
    own_inverse = 1 / projection.depth.clamp(min=SMALLEST_DEPTH)
    depth_difference = (seen_inverse - own_inverse).abs() / (1 / near - 1 / far)
    differences = torch.cat(
        [colour_difference, depth_difference.clamp(max=LARGEST_DEPTH_DIFFERENCE)[..., None]], dim=-1
    )
    weights = projection.valid[..., None].to(differences.dtype)
    weights = weights / weights.sum(dim=0).clamp(min=1e-4)
    mean, variance = weighted_mean_and_variance(differences, weights)
    return torch.cat([mean[..., :3], variance[..., :3], mean[..., 3:], variance[..., 3:]], dim=-1).permute(2, 0, 1)
