"""Pinhole cameras: rays of pixels, and projection of points into views.

Conventions: OpenCV axes (x right, y down, z forward); `w2c` is `[R|t]` with `x_camera = R x_world + t`; a pixel is
`(x, y)` and the centre of the first pixel is `(0, 0)`; depth is the z coordinate in the camera, not the distance.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

SMALLEST_PROJECTED_DEPTH = 1e-4  # closer to the camera plane than this (in scene units) a point has no projection
SUBSTITUTE_DEPTH = 1e-3  # replaces such a depth before the division, so that the pixel stays finite
GRID_ROUNDING = 1e-5  # how far outside an image (half its side is 1) rounding may put a pixel of its border


class Projection(NamedTuple):
    """Places of points in each view."""

    pixels_xy: Float[Tensor, "view *points 2"]
    depth: Float[Tensor, "view *points"]
    valid: Bool[Tensor, "view *points"]


def inverse(K: Float[Tensor, "*view 3 3"]) -> Float[Tensor, "*view 3 3"]:
    """Return the inverse of intrinsics, unchecked: to say that there is none, a GPU would have to be waited for."""
    return torch.linalg.inv_ex(K).inverse


def camera_centres(w2c: Float[Tensor, "*view 3 4"]) -> Float[Tensor, "*view 3"]:
    """Return the world position of each camera, `-Rᵀ t`."""
    return -torch.einsum("...ji,...j->...i", w2c[..., :3], w2c[..., 3])


def pixel_rays(
    K: Float[Tensor, "3 3"], w2c: Float[Tensor, "3 4"], pixels_xy: Float[Tensor, "ray 2"]
) -> tuple[Float[Tensor, "3"], Float[Tensor, "ray 3"]]:
    """Return the origin and the directions of the rays through `pixels_xy` of one camera.

    Directions are not normalised: `origin + z * direction` is the point at depth z.
    """
    homogeneous = torch.cat([pixels_xy, torch.ones_like(pixels_xy[:, :1])], dim=-1)
    directions = homogeneous @ inverse(K).T @ w2c[:, :3]
    return camera_centres(w2c), directions


def back_project(
    K: Float[Tensor, "view 3 3"], w2c: Float[Tensor, "view 3 4"], depth: Float[Tensor, "view height width"]
) -> Float[Tensor, "view height width 3"]:
    """Return the world point of every pixel of every view's depth map."""
    height, width = depth.shape[1:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=depth.dtype, device=depth.device),
        torch.arange(width, dtype=depth.dtype, device=depth.device),
        indexing="ij",
    )
    homogeneous = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    in_camera = torch.einsum("vij,hwj->vhwi", inverse(K), homogeneous) * depth[..., None]
    return torch.einsum("vji,vhwj->vhwi", w2c[..., :3], in_camera - w2c[:, None, None, :, 3])


def project(
    K: Float[Tensor, "view 3 3"],
    w2c: Float[Tensor, "view 3 4"],
    points: Float[Tensor, "*points 3"],
    height: int,
    width: int,
) -> Projection:
    """Project world points into every view.

    A projection is valid where `|depth| >= 1e-4` and the pixel lies within half a pixel of the image. A point behind
    the camera can be valid too: published checkpoints were trained that way, so it is kept.
    """
    flat = points.reshape(-1, 3)
    in_image = K @ (w2c[:, :, :3] @ flat.T + w2c[:, :, 3:])
    depth = in_image[:, 2]
    projectable = depth.abs() >= SMALLEST_PROJECTED_DEPTH
    divisor = torch.where(projectable, depth, torch.full_like(depth, SUBSTITUTE_DEPTH))
    x, y = in_image[:, 0] / divisor, in_image[:, 1] / divisor
    valid = projectable & (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    shape = (len(K), *points.shape[:-1])
    return Projection(torch.stack([x, y], dim=-1).reshape(*shape, 2), divisor.reshape(shape), valid.reshape(shape))


def towards_camera(
    centres: Float[Tensor, "view 3"], points: Float[Tensor, "*points 3"]
) -> Float[Tensor, "view *points 3"]:
    """Return the unit vector from each point to each camera centre: the viewing direction used as a feature."""
    shape = (len(centres),) + (1,) * (points.ndim - 1) + (3,)
    return torch.nn.functional.normalize(centres.reshape(shape) - points[None], dim=-1, eps=1e-12)


def carry_pixels(
    x: Float[Tensor, "*#point"],
    y: Float[Tensor, "*#point"],
    depth: Float[Tensor, "*#point"],
    K: Float[Tensor, "3 3"],
    w2c: Float[Tensor, "3 4"],
    other_K: Float[Tensor, "3 3"],
    other_w2c: Float[Tensor, "3 4"],
) -> tuple[Float[Tensor, "*point 2"], Float[Tensor, "*point"]]:
    """Return the pixels (x, y) and depths, in the other camera, of pixels of one camera at given depths."""
    rotation = other_w2c[:, :3] @ w2c[:, :3].T
    offset = other_K @ (other_w2c[:, 3] - rotation @ w2c[:, 3])
    direction = other_K @ rotation @ inverse(K)
    # By coordinate: products with a matrix of three columns take a CPU several times longer.
    across, down, away = (
        torch.addcmul(shift, depth, row[0] * x + (row[1] * y + row[2]))
        for row, shift in zip(direction, offset, strict=True)
    )
    shrink = away.clamp(min=SMALLEST_PROJECTED_DEPTH).reciprocal_()
    return torch.stack([across.mul_(shrink), down.mul_(shrink)], -1), away


def warp_to_planes(
    maps: Float[Tensor, "channel map_height map_width"],
    K: Float[Tensor, "3 3"],
    w2c: Float[Tensor, "3 4"],
    reference_K: Float[Tensor, "3 3"],
    reference_w2c: Float[Tensor, "3 4"],
    depths: Float[Tensor, "plane #height #width"],
    size: tuple[int, int],
    *,
    padding: Literal["border", "zeros"],
) -> tuple[Float[Tensor, "channel plane height width"], Bool[Tensor, "plane height width"]]:
    """Return the maps as each plane before the reference camera would show them, and where they do.

    The reference has `size` (height, width). Bilinear; outside the maps their border or zeros. They show what lies
    inside the maps and before their camera.
    """
    rows, columns = maps.shape[1:]
    # From pixels to the grid's [-1, 1]; by numbers, as a matrix of them would have to be copied to a GPU.
    to_grid = torch.stack([2 / max(columns - 1, 1) * K[0] - K[2], 2 / max(rows - 1, 1) * K[1] - K[2], K[2]])
    like = {"dtype": depths.dtype, "device": depths.device}
    x, y = torch.arange(size[1], **like), torch.arange(size[0], **like)[:, None]
    grid, depth = carry_pixels(x, y, depths, reference_K, reference_w2c, to_grid, w2c)
    warped = functional.grid_sample(
        maps[None], grid.flatten(0, 1)[None], mode="bilinear", padding_mode=padding, align_corners=True
    )
    x, y = grid.unbind(-1)
    inside = torch.maximum(x.abs(), y.abs()) <= 1 + GRID_ROUNDING
    return warped[0].unflatten(1, depth.shape[:2]), inside & (depth > SMALLEST_PROJECTED_DEPTH)
