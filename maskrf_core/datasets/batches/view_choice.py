"""Which views are references of a query: rules that put candidates in order, and how much they share of its sight."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskrf_core.cameras import camera_centres, pixel_rays, project
from maskrf_core.settings.sections import ViewChoice

PIXELS_ACROSS, DEPTHS = 16, 8  # points of a sight: so many columns and rows of pixels, at so many depths


class Camera(NamedTuple):
    """A camera and the depths between which it sees something, or several of them, stacked."""

    K: Float[Tensor, "*view 3 3"]
    w2c: Float[Tensor, "*view 3 4"]
    depth_range: Float[Tensor, "*view 2"]


def by_distance(query: Camera, w2c: Float[Tensor, "view 3 4"]) -> Int[Tensor, "view"]:
    """Order cameras by the distance of their centres from the query's, as published."""
    centres = camera_centres(torch.cat([query.w2c[None], w2c]))
    return torch.linalg.vector_norm(centres[1:] - centres[0], dim=-1).argsort(stable=True)


def by_distance_and_direction(query: Camera, w2c: Float[Tensor, "view 3 4"]) -> Int[Tensor, "view"]:
    """Order cameras by d / z + tan θ; those turned by 90° or more come after all others, in order of d / z + θ.

    d is the distance of the centres, θ the angle between the viewing directions, and z the harmonic mean of the query's
    near and far. A step of d moves the picture of what is at z by d / z focal lengths, and a turn by θ moves the middle
    of the picture by tan θ of them, so both terms are of one kind, whatever the scene's unit.
    """
    near, far = query.depth_range.double()
    centres = camera_centres(torch.cat([query.w2c[None], w2c]).double())
    steps = torch.linalg.vector_norm(centres[1:] - centres[0], dim=-1) * (1 / near + 1 / far) / 2
    angles = viewing_angles(query.w2c, w2c)
    away = angles >= torch.pi / 2
    keys = steps + torch.where(away, angles, angles.tan())
    return torch.from_numpy(np.lexsort((keys.numpy(), away.numpy())))


RULES: Mapping[ViewChoice, Callable[[Camera, Float[Tensor, "view 3 4"]], Int[Tensor, "view"]]] = {
    "nearest": by_distance,
    "nearest_looking": by_distance_and_direction,
}


def viewing_angles(w2c: Float[Tensor, "3 4"], others: Float[Tensor, "view 3 4"]) -> Float[Tensor, "view"]:
    """Return the angles between the optical axis of a camera and those of others, in radians."""
    axis, axes = w2c[2, :3].double(), others[:, 2, :3].double()
    across = torch.linalg.vector_norm(torch.linalg.cross(axes, axis.expand_as(axes)), dim=-1)
    return torch.atan2(across, axes @ axis)  # an arc cosine would lose what tells small angles apart


def shared_sight(query: Camera, others: Camera) -> Float[Tensor, "view"]:
    """Return the share of the query's sight that is in the sight of each other camera; 0 where they do not meet.

    A sight is what is in the picture between near and far; that of the query is looked at in points, evenly over the
    picture and the logarithm of depth. Cameras that face each other around an object share it, and lenses of a rig that
    look apart share nothing, however near they are: so it is sights that are compared, and not angles. Principal points
    are taken for the middle of pictures, so that no picture is read for its size.
    """
    places, between = ((torch.arange(count) + 0.5) / count for count in (PIXELS_ACROSS, DEPTHS))
    y, x = torch.meshgrid(places, places, indexing="ij")
    pixels = torch.stack([x, y], dim=-1).reshape(-1, 2) * (2 * query.K[:2, 2] + 1) - 0.5
    near, far = query.depth_range
    depths = near * (far / near) ** between
    origin, directions = pixel_rays(query.K, query.w2c, pixels)
    seen = project(others.K, others.w2c, origin + depths[:, None, None] * directions, 1, 1)
    nears, fars = others.depth_range.T[..., None, None]
    ends = 2 * others.K[:, None, None, :2, 2] + 0.5
    in_picture = ((seen.pixels_xy >= -0.5) & (seen.pixels_xy < ends)).all(dim=-1)
    return (in_picture & (seen.depth >= nears) & (seen.depth <= fars)).flatten(1).double().mean(dim=1)
