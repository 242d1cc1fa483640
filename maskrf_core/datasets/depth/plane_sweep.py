"""Depth of one view from its neighbours: a plane sweep in plain torch, on whatever device the tensors are.

Planes are parallel to the reference image and uniform in inverse depth (Collins, CVPR 1996). Each neighbour is warped
onto each plane and compared by windowed normalised cross-correlation; the best few neighbours count, so that one that
cannot see the surface does no harm. Costs are smoothed along scan lines (semi-global matching, Hirschmüller, PAMI 2008)
and the minimum is refined between planes by a parabola.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskrf_core.cameras import carry_pixels, warp_to_planes
from maskrf_core.datasets.depth.matching_costs import WindowCorrelation, minimum_place, smooth_costs, window_minimum

WORST_COST = 1.0  # cost of a plane on which a neighbour shows nothing; correlation 1 costs 0, correlation -1 costs 1
PIXELS_AT_A_TIME = (4_000_000, 50_000)
"""Over planes, on an accelerator and on a CPU: bounds the memory; what is at hand stays in a CPU's cache."""


@dataclass(frozen=True)
class SweepView:
    """One posed image: colours in [0, 1], intrinsics in its pixels, OpenCV axes, True = foreground.

    All of its tensors are on one device.
    """

    image: Float[Tensor, "3 height width"]
    mask: Bool[Tensor, "height width"]
    K: Float[Tensor, "3 3"]
    w2c: Float[Tensor, "3 4"]
    near: float
    far: float


@dataclass(frozen=True)
class SweepSettings:
    """Settings of the sweep; the defaults were chosen on scenes whose depth is known."""

    planes: int = 64
    window: int = 3  # side of the correlation window in pixels, odd
    best_sources: int = 2  # best-correlated neighbours that count on each plane
    small_step_penalty: float = 0.01  # cost of a change by one plane between neighbouring pixels
    jump_penalty: float = 0.25
    """Cost of a larger change between neighbouring pixels of one colour; less across an edge in the image."""
    shift: int = 1
    """Pixels by which a window may be moved off its pixel to where it correlates best: keeps depth edges in place."""
    offsets: int = 8  # steps to either side when a first estimate is refined
    offset_step: float = 0.5  # their size, in distances between planes
    texture_floor: float = 0.01  # standard deviation (colours in [0, 1]) below which a window is thought to be noise


def inverse_depth_planes(near: float, far: float, count: int) -> Float[Tensor, "plane 1 1"]:
    """Return `count` depths from near to far, end points included, uniform in inverse depth."""
    return 1 / torch.linspace(1 / near, 1 / far, count)[:, None, None]


def sweep_depth(
    reference: SweepView,
    sources: list[SweepView],
    settings: SweepSettings,
    impossible: Bool[Tensor, "plane height width"] | None = None,
) -> Float[Tensor, "height width"]:
    """Find the z-depth of every foreground pixel of `reference`, 0 elsewhere; planes marked impossible are avoided."""
    planes = inverse_depth_planes(reference.near, reference.far, settings.planes).to(reference.image)
    costs = photometric_costs(reference, sources, planes, settings)
    if impossible is not None:
        costs += 2 * WORST_COST * impossible
    place = _best_place(costs, reference, settings) / (settings.planes - 1)
    depth = 1 / ((1 - place) / reference.near + place / reference.far)
    return torch.where(reference.mask, depth, torch.zeros_like(depth))


def sweep_around(
    reference: SweepView, sources: list[SweepView], surface: Float[Tensor, "height width"], settings: SweepSettings
) -> Float[Tensor, "height width"]:
    """Sweep as `sweep_depth`, over offsets from a `surface` (0 = none) in place of planes.

    The windows then lean as the surface does: parallel planes would blur and bias what is seen at a slant.
    """
    plane_step = (1 / reference.near - 1 / reference.far) / (settings.planes - 1)
    steps = torch.arange(-settings.offsets, settings.offsets + 1).to(surface)[:, None, None] * settings.offset_step
    inverse = 1 / surface.clamp(min=reference.near) + plane_step * steps
    costs = photometric_costs(reference, sources, 1 / inverse.clamp(min=0.5 / reference.far), settings)
    place = _best_place(costs, reference, settings) - settings.offsets
    best = 1 / surface.clamp(min=reference.near) + plane_step * settings.offset_step * place
    depth = 1 / best.clamp(min=0.5 / reference.far)  # as far as was compared: beyond, the inverse may turn negative
    return torch.where(reference.mask & (surface > 0), depth, torch.zeros_like(depth))


def _best_place(
    costs: Float[Tensor, "plane height width"], reference: SweepView, settings: SweepSettings
) -> Float[Tensor, "height width"]:
    """Find the plane that costs least once neighbouring pixels have been heard, in fractions of a plane."""
    smooth = smooth_costs(costs, reference.image, reference.mask, settings.small_step_penalty, settings.jump_penalty)
    return minimum_place(smooth)


def photometric_costs(
    reference: SweepView,
    sources: list[SweepView],
    planes: Float[Tensor, "plane #height #width"],
    settings: SweepSettings,
) -> Float[Tensor, "plane height width"]:
    """Return (1 - correlation)/2, averaged over the best sources, of every pixel on every plane."""
    height, width = reference.mask.shape
    kept = min(settings.best_sources, len(sources))
    costs = planes.new_empty(len(planes), height, width)
    correlation = WindowCorrelation(
        reference.image, reference.mask, window=settings.window, texture_floor=settings.texture_floor
    )
    step = max(1, PIXELS_AT_A_TIME[costs.device.type == "cpu"] // (height * width))
    for start in range(0, len(planes), step):
        chunk = planes[start : start + step]
        best = [costs.new_full((len(chunk), height, width), WORST_COST) for _ in range(kept)]
        for source in sources:
            cameras = (source.K, source.w2c, reference.K, reference.w2c)
            warped, visible = warp_to_planes(source.image, *cameras, chunk, (height, width), padding="border")
            cost = torch.where(visible, 0.5 - 0.5 * correlation(warped.transpose(0, 1)), WORST_COST)
            cost = window_minimum(cost, settings.shift)
            for place in range(kept):  # insertion into the sorted best
                best[place], cost = torch.minimum(best[place], cost), torch.maximum(best[place], cost)
        costs[start : start + step] = sum(best) / kept
    return costs


def project_planes(
    reference: SweepView, source: SweepView, planes: Float[Tensor, "plane #height #width"]
) -> tuple[Float[Tensor, "plane height width 2"], Float[Tensor, "plane height width"]]:
    """Return source pixel (x, y) and depth of every reference pixel at every depth: `K_s (z R K_r⁻¹ p + t)`."""
    height, width = reference.mask.shape
    x, y = torch.arange(width).to(planes), torch.arange(height).to(planes)[:, None]
    return carry(x, y, planes, reference, source)


def carry(
    x: Float[Tensor, "*#point"],
    y: Float[Tensor, "*#point"],
    depth: Float[Tensor, "*#point"],
    start: SweepView,
    end: SweepView,
) -> tuple[Float[Tensor, "*point 2"], Float[Tensor, "*point"]]:
    """Carry pixels of one camera at given depths to pixels (x, y) and depths of another."""
    return carry_pixels(x, y, depth, start.K, start.w2c, end.K, end.w2c)
