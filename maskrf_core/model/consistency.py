"""How well the depth maps of a few views agree with each other: the evidence that visibility is decoded from."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from maskrf_core.cameras import back_project, project
from maskrf_core.datasets.batch import Views
from maskrf_core.model.layers import weighted_mean_and_variance
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
    # Few channels of very many points: torch's own sampling, channels first, is faster here than `sample_map`.
    half_size = torch.tensor([width - 1, height - 1], dtype=points.dtype, device=points.device) / 2
    grid = projection.pixels_xy / half_size - 1
    seen = functional.grid_sample(colours_and_depths, grid, padding_mode="border", align_corners=True)
    near, far = (bound[:, None, None, None] for bound in views.depth_range.unbind(dim=1))
    seen_inverse = 1 / seen[:, 3:].clamp(min=SMALLEST_DEPTH)
    own_inverse = 1 / projection.depth[:, None].clamp(min=SMALLEST_DEPTH)
    depth_difference = (seen_inverse - own_inverse).abs() / (1 / near - 1 / far)
    weights = projection.valid[:, None].to(seen.dtype)
    weights = weights / weights.sum(dim=0).clamp(min=1e-4)
    of_colours = weighted_mean_and_variance((seen[:, :3] - colours).abs(), weights)
    of_depths = weighted_mean_and_variance(depth_difference.clamp(max=LARGEST_DEPTH_DIFFERENCE), weights)
    return torch.cat([*of_colours, *of_depths])
