"""How well the depth maps of a few views agree with each other: the evidence that visibility is decoded from."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from maskrf_core.cameras import back_project, project
from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model.layers import weighted_mean_and_variance
from maskrf_core.model.sampling import SMALLEST_DEPTH

PIXELS_AT_ONCE = 2**16
"""Of a view, that are looked at in all views together: what they need stays in a processor's cache."""
LARGEST_DEPTH_DIFFERENCE = 1.5
"""In lengths of the inverse depth range: a larger disagreement says nothing more."""


def consistency_features(
    views: Views, depths: Float[Tensor, "view 1 height width"], of: slice = slice(None)
) -> Float[Tensor, "_ 8 height width"]:
    """Mean and variance, over all views it projects into, of each pixel's colour and depth disagreement.

    Channels: colour mean 3, colour variance 3, depth mean 1, depth variance 1; `of` which views. Every pixel is
    back-projected with `depths` (positive) and projected into every view, its own included. Depth differences are of
    inverse depths, in lengths of the inverse depth range of the view projected into. After NeuRay (arXiv 2107.13421,
    section 3.4).
    """
    points = back_project(views.K[of], views.w2c[of], depths[of, 0])
    colours_and_depths = torch.cat([views.images, depths], dim=1)
    rows = max(1, PIXELS_AT_ONCE // depths.shape[-1])

    def of_view(points: Tensor, colours: Tensor) -> Tensor:
        parts = zip(points.split(rows), colours.split(rows, dim=1), strict=True)
        return torch.cat([_consistency_of_rows(views, colours_and_depths, *part) for part in parts], dim=1)

    return torch.stack([of_view(*pair) for pair in zip(points, views.images[of], strict=True)])


def _consistency_of_rows(
    views: Views,
    colours_and_depths: Float[Tensor, "view 4 height width"],
    points: Float[Tensor, "row width 3"],
    colours: Float[Tensor, "3 row width"],
) -> Float[Tensor, "8 row width"]:
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
