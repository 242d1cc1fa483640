"""Comparison of several views' depth maps: which depths are confirmed, and which are impossible."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

from maskrf_core.cameras import SMALLEST_PROJECTED_DEPTH, carry_pixels
from maskrf_core.datasets.depth.plane_sweep import SweepView, inverse_depth_planes, project_planes

UNCONFIRMED_WEIGHT = 0.1  # weight in a smoothed surface of a depth that no other view confirms
SPECK_LEVELS = 16  # parts of a step of inverse depth where specks are looked for
LARGEST_INTEGER = 32_000  # below that of 16 bits, with room for rounding


def off_silhouettes(
    reference: SweepView, others: list[SweepView], planes: int
) -> Bool[Tensor, "plane height width"] | None:
    """Mark points of planes that fall on another view's background, over a pixel from its foreground.

    No surface can be there; None where no other view is given. (The visual hull: Laurentini, PAMI 1994.)
    """
    if not others:
        return None
    depths = inverse_depth_planes(reference.near, reference.far, planes).to(reference.image)
    outside = torch.zeros(planes, *reference.mask.shape, dtype=torch.bool, device=reference.mask.device)
    for other in others:
        around = max_pool2d(other.mask[None, None].float(), 3, stride=1, padding=1)[0, 0] > 0
        pixels, depth = project_planes(reference, other, depths)
        x, y, inside = _nearest_pixels(pixels, depth, *other.mask.shape)
        outside |= inside & ~around[y, x]
    return outside


def confirmed_depth(
    view: SweepView,
    depth: Float[Tensor, "height width"],
    others: list[tuple[SweepView, Float[Tensor, "_height _width"]]],
    *,
    confirming_views: int,
    depth_tolerance: float,
    pixel_tolerance: float,
) -> Float[Tensor, "height width"]:
    """Return depth where enough other views agree, as the mean over all that do; 0 elsewhere.

    Another view agrees where a pixel's point, looked up in its depth map and carried back, has the same depth within
    `depth_tolerance` (relative) and lands within `pixel_tolerance` of the pixel.
    """
    total, votes = depth.clone(), torch.zeros_like(depth)
    for other, other_depth in others:
        returned, distance = round_trip(view, depth, other, other_depth)
        agrees = (distance <= pixel_tolerance) & ((returned - depth).abs() <= depth_tolerance * depth)
        total += torch.where(agrees, returned, 0.0)
        votes += agrees
    return torch.where((votes >= confirming_views) & (depth > 0), total / (votes + 1), 0.0)


def round_trip(
    view: SweepView,
    depth: Float[Tensor, "height width"],
    other: SweepView,
    other_depth: Float[Tensor, "other_height other_width"],
) -> tuple[Float[Tensor, "height width"], Float[Tensor, "height width"]]:
    """Return each pixel's depth as it comes back from the other view's depth map, and its distance in pixels.

    Both are infinite where the point is outside the other view, or either map has no depth.
    """
    x, y = torch.arange(depth.shape[1]).to(depth), torch.arange(depth.shape[0]).to(depth)[:, None]
    there, there_depth = carry_pixels(x, y, depth, view.K, view.w2c, other.K, other.w2c)
    column, row, inside = _nearest_pixels(there, there_depth, *other_depth.shape)
    found = other_depth[row, column]
    # Carried back from where the point really landed: rounding is then no part of the distance.
    back, back_depth = carry_pixels(*there.unbind(-1), found, other.K, other.w2c, view.K, view.w2c)
    known = inside & (found > 0) & (depth > 0) & (back_depth > SMALLEST_PROJECTED_DEPTH)
    distance = torch.hypot(back[..., 0] - x, back[..., 1] - y)
    return torch.where(known, back_depth, torch.inf), torch.where(known, distance, torch.inf)


def smooth_surface(
    depth: Float[Tensor, "height width"],
    confirmed: Float[Tensor, "height width"],
    *,
    inverse_depth_scale: float,
    radius: int = 2,
    iterations: int = 2,
) -> Float[Tensor, "height width"]:
    """Average inverse depth over a square, less over steps beyond `inverse_depth_scale`; 0 stays 0.

    Depths that are confirmed (not 0) replace the others and weigh ten times as much. (A bilateral filter: Tomasi and
    Manduchi, ICCV 1998.)
    """
    known = depth > 0
    best = torch.where(confirmed > 0, confirmed, depth)
    inverse = torch.where(known, 1 / best, 0.0)
    weight = torch.where(confirmed > 0, 1.0, UNCONFIRMED_WEIGHT) * known
    height, width = depth.shape
    weights = pad(weight, (radius,) * 4)
    for _ in range(iterations):
        values = pad(inverse, (radius,) * 4)
        total, share = torch.zeros_like(inverse), torch.zeros_like(inverse)
        for dy in range(2 * radius + 1):
            for dx in range(2 * radius + 1):
                window = slice(dy, dy + height), slice(dx, dx + width)
                near = torch.exp(-0.5 * ((values[window] - inverse) / inverse_depth_scale) ** 2) * weights[window]
                total += near * values[window]
                share += near
        inverse = torch.where(known, total / share, 0.0)
    return torch.where(known, 1 / inverse, 0.0)


def without_specks(
    depth: Float[Tensor, "height width"], *, largest_speck: int, inverse_depth_step: float
) -> Float[Tensor, "height width"]:
    """Cut connected patches of up to `largest_speck` pixels, which become 0.

    Neighbours belong to one patch where their inverse depths differ by at most `inverse_depth_step`.
    """
    known = depth.cpu().numpy() > 0
    inverse = 1 / depth.cpu().numpy()[known]
    if not inverse.size:
        return depth
    # OpenCV takes 16-bit integers: sixteen to a step, fewer where the range is long. 0 stands for no depth.
    scale = min(SPECK_LEVELS / inverse_depth_step, LARGEST_INTEGER / max(np.ptp(inverse), 1e-12))
    levels = np.zeros(depth.shape, np.int16)
    levels[known] = 1 + ((inverse - inverse.min()) * scale).round()
    cv2.filterSpeckles(levels, 0, largest_speck, round(scale * inverse_depth_step))
    return torch.where(torch.from_numpy(levels > 0).to(depth.device), depth, 0.0)


def _nearest_pixels(
    pixels: Float[Tensor, "*point 2"], depth: Float[Tensor, "*point"], height: int, width: int
) -> tuple[Tensor, Tensor, Bool[Tensor, "*point"]]:
    """Return column and row of the nearest pixel, clamped to the image, and if it is in the image and in front."""
    nearest = pixels.clamp(-2, max(height, width) + 1).round().long()  # a wild projection would overflow the integer
    x, y = nearest.unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (depth > SMALLEST_PROJECTED_DEPTH)
    return x.clamp(0, width - 1), y.clamp(0, height - 1), inside
