"""How well the features of neighbouring views match at planes before a reference view (MVSNet, ECCV 2018, section 3.2).

Cameras here are those of feature maps: intrinsics in feature pixels.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

SMALLEST_PLANE_DEPTH = 1e-4
"""A point of a plane that is nearer to a source camera than this, or behind it, is put there, in scene units."""
PLANES_AT_ONCE = 4
"""Planes that are warped together: all of them at once would take several times the memory of the volume itself."""


def warp_to_planes(
    features: Float[Tensor, "source channel map_height map_width"],
    K: Float[Tensor, "source 3 3"],
    w2c: Float[Tensor, "source 3 4"],
    reference_K: Float[Tensor, "3 3"],
    reference_w2c: Float[Tensor, "3 4"],
    depths: Float[Tensor, "plane"],
) -> Float[Tensor, "source channel plane map_height map_width"]:
    """What each source map holds where the pixels of the reference's map, put at each depth, project to.

    The reference's map has the size of the sources'. Bilinear between feature pixels, zero outside a map.
    """
    height, width = features.shape[-2:]
    turn = w2c[:, :, :3] @ reference_w2c[:, :3].T  # from the reference's camera to each source's
    shift = w2c[:, :, 3] - turn @ reference_w2c[:, 3]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=features.dtype, device=features.device),
        torch.arange(width, dtype=features.dtype, device=features.device),
        indexing="ij",
    )
    pixels = torch.stack([x, y, torch.ones_like(x)]).reshape(3, -1)
    directions = K @ turn @ torch.linalg.inv(reference_K) @ pixels
    at_planes = depths[:, None] * directions[:, :, None] + (K @ shift[..., None])[:, :, None]
    projected = at_planes[:, :2] / at_planes[:, 2:].clamp(min=SMALLEST_PLANE_DEPTH)
    size = torch.tensor([width - 1, height - 1], dtype=features.dtype, device=features.device)
    grid = (2 * projected / size[:, None, None] - 1).permute(0, 2, 3, 1)
    warped = functional.grid_sample(features, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return warped.unflatten(3, (height, width))


def matching_cost(
    reference: Float[Tensor, "channel map_height map_width"],
    reference_K: Float[Tensor, "3 3"],
    reference_w2c: Float[Tensor, "3 4"],
    sources: Float[Tensor, "source channel map_height map_width"],
    K: Float[Tensor, "source 3 3"],
    w2c: Float[Tensor, "source 3 4"],
    depths: Float[Tensor, "plane"],
) -> Float[Tensor, "channel plane map_height map_width"]:
    """Variance of the features over the reference and its sources, at planes at `depths` before the reference.

    Computed as E[x²] - E[x]², as MVSNet's weights were trained, so that rounding can leave it a little below zero.
    Without sources it is 0 everywhere.
    """
    views = 1 + len(sources)
    of_reference = reference[:, None]
    volume = reference.new_zeros(len(reference), len(depths), *reference.shape[1:])
    if len(sources) == 0:
        return volume
    for first in range(0, len(depths), PLANES_AT_ONCE):
        planes = slice(first, first + PLANES_AT_ONCE)
        warped = warp_to_planes(sources, K, w2c, reference_K, reference_w2c, depths[planes])
        mean = (of_reference + warped.sum(dim=0)) / views
        mean_square = (of_reference.square() + warped.square_().sum(dim=0)) / views
        volume[:, planes] = mean_square - mean.square()
    return volume
