"""Pinhole cameras: rays of pixels, and projection of points into views.

Conventions: OpenCV axes (x right, y down, z forward); `w2c` is `[R|t]` with `x_camera = R x_world + t`; a pixel is
`(x, y)` and the centre of the first pixel is `(0, 0)`; depth is the z coordinate in the camera, not the distance.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SMALLEST_PROJECTED_DEPTH = 1e-4
"""Closer to the camera plane than this (in scene units) a point has no projection."""
SUBSTITUTE_DEPTH = 1e-3
"""What replaces such a depth before the division, so that the pixel stays finite."""


class Projection(NamedTuple):
    """Where points land in each view."""

    pixels_xy: Float[Tensor, "view *points 2"]
    depth: Float[Tensor, "view *points"]
    valid: Bool[Tensor, "view *points"]


def camera_centres(w2c: Float[Tensor, "*view 3 4"]) -> Float[Tensor, "*view 3"]:
    """World position of each camera, `-Rᵀ t`."""
    return -torch.einsum("...ji,...j->...i", w2c[..., :3], w2c[..., 3])


def pixel_rays(
    K: Float[Tensor, "3 3"], w2c: Float[Tensor, "3 4"], pixels_xy: Float[Tensor, "ray 2"]
) -> tuple[Float[Tensor, "3"], Float[Tensor, "ray 3"]]:
    """Origin and directions of the rays through `pixels_xy` of one camera.

    Directions are not normalised: `origin + z * direction` is the point at depth z.
    """
    homogeneous = torch.cat([pixels_xy, torch.ones_like(pixels_xy[:, :1])], dim=-1)
    directions = homogeneous @ torch.linalg.inv(K).T @ w2c[:, :3]
    return camera_centres(w2c), directions


def back_project(
    K: Float[Tensor, "view 3 3"], w2c: Float[Tensor, "view 3 4"], depth: Float[Tensor, "view height width"]
) -> Float[Tensor, "view height width 3"]:
    """World point of every pixel of every view's depth map."""
    height, width = depth.shape[1:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=depth.dtype, device=depth.device),
        torch.arange(width, dtype=depth.dtype, device=depth.device),
        indexing="ij",
    )
    homogeneous = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    in_camera = torch.einsum("vij,hwj->vhwi", torch.linalg.inv(K), homogeneous) * depth[..., None]
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
    """Unit vector from each point to each camera centre: the viewing direction used as a feature."""
    shape = (len(centres),) + (1,) * (points.ndim - 1) + (3,)
    return torch.nn.functional.normalize(centres.reshape(shape) - points[None], dim=-1, eps=1e-12)
