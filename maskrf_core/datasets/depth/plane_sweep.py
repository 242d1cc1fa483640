"""Depth of one view from its neighbours: a plane sweep in plain torch, on whatever device the tensors are.

Planes are parallel to the reference image and uniform in inverse depth (Collins, CVPR 1996). Each neighbour is warped
onto each plane and compared by windowed normalised cross-correlation; the best few neighbours count, so that one that
cannot see the surface does no harm. Costs are smoothed along scan lines (semi-global matching, Hirschmüller, PAMI 2008)
and the minimum is refined between planes by a parabola.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from maskrf_core.cameras import carry_pixels, warp_to_planes

EDGE_WEIGHT = 20.0  # factor by which a step in colour (of 1) eases a jump in depth
WORST_COST = 1.0  # cost of a plane on which a neighbour shows nothing; correlation 1 costs 0, correlation -1 costs 1
PIXELS_AT_A_TIME = (4_000_000, 50_000)  # over planes, on a GPU and a CPU: bounds the memory; fits a CPU's cache


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
    jump_penalty: float = 0.25  # cost of a larger change between pixels of one colour; less across an edge
    shift: int = 1  # pixels that a window may move to where it correlates best: keeps depth edges in place
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
    place = minimum_place(smooth_costs(costs, reference, settings)) / (settings.planes - 1)
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
    place = minimum_place(smooth_costs(costs, reference, settings)) - settings.offsets
    best = 1 / surface.clamp(min=reference.near) + plane_step * settings.offset_step * place
    depth = 1 / best.clamp(min=0.5 / reference.far)  # as far as was compared: beyond, the inverse may turn negative
    return torch.where(reference.mask & (surface > 0), depth, torch.zeros_like(depth))


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
    correlation = window_correlation(reference, settings)
    step = max(1, PIXELS_AT_A_TIME[costs.device.type == "cpu"] // (height * width))
    for start in range(0, len(planes), step):
        chunk = planes[start : start + step]
        best = [costs.new_full((len(chunk), height, width), WORST_COST) for _ in range(kept)]
        for source in sources:
            cameras = (source.K, source.w2c, reference.K, reference.w2c)
            warped, visible = warp_to_planes(source.image, *cameras, chunk, (height, width), padding="border")
            cost = torch.where(visible, 0.5 - 0.5 * correlation(warped.transpose(0, 1)), WORST_COST)
            cost = over_windows(cost, settings.shift, torch.minimum)
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
    return carry_pixels(x, y, planes, reference.K, reference.w2c, source.K, source.w2c)


def window_correlation(
    reference: SweepView, settings: SweepSettings
) -> Callable[[Float[Tensor, "image 3 height width"]], Float[Tensor, "image height width"]]:
    """Return the zero-mean normalised cross-correlation with a view, over foreground windows, channels jointly.

    It is in [-1, 1], and near 0 where either window has no texture.
    """
    image, radius, weight = reference.image, settings.window // 2, reference.mask.to(reference.image)
    share = over_windows(weight, radius, torch.add).clamp(min=1e-6)

    def average(values: Float[Tensor, "*channel height width"]) -> Float[Tensor, "*channel height width"]:
        return over_windows(values * weight, radius, torch.add).div_(share)

    def variance(images: Float[Tensor, "image 3 height width"], means: Tensor) -> Float[Tensor, "image height width"]:
        return (average(images.square().sum(1)) - means.square().sum(1)).clamp_(min=0).add_(settings.texture_floor**2)

    mean = average(image)
    own_variance = variance(image[None], mean[None])

    def correlate(other: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image height width"]:
        other_mean = average(other)
        covariance = average((other * image).sum(1)) - (other_mean * mean).sum(1)
        return covariance.mul_((variance(other, other_mean) * own_variance).rsqrt_()).clamp_(-1, 1)

    return correlate


def over_windows(
    values: Float[Tensor, "*channel height width"], radius: int, combine: Callable
) -> Float[Tensor, "*channel height width"]:
    """Combine (by `torch.add` or `torch.minimum`) the values in the square of side 2·radius + 1 about each pixel.

    By shifts along rows, then columns: several times faster on a CPU than pooling, and as fast as any on a GPU.
    """
    for axis in (-1, -2):
        whole, length = values.clone(), values.shape[axis]
        for step in range(1, min(radius, length - 1) + 1):
            for to, start in ((step, 0), (0, step)):
                part = whole.narrow(axis, to, length - step)
                combine(part, values.narrow(axis, start, length - step), out=part)
        values = whole
    return values


def smooth_costs(
    costs: Float[Tensor, "plane height width"], reference: SweepView, settings: SweepSettings
) -> Float[Tensor, "plane height width"]:
    """Average the path costs of semi-global matching over four scan directions; the background parts paths."""
    total, mask, small_step = torch.zeros_like(costs), reference.mask, settings.small_step_penalty
    for axis in (0, 1):
        edges = reference.image.diff(dim=axis + 1).abs().mean(0)
        jumps = (settings.jump_penalty / (1 + EDGE_WEIGHT * edges)).clamp(min=1.5 * small_step)
        length = mask.shape[axis]
        joined = mask.narrow(axis, 1, length - 1) & mask.narrow(axis, 0, length - 1)
        lines, of_total = costs.movedim(axis + 1, 0).contiguous(), total.movedim(axis + 1, 0)
        of_total += _path_costs(lines, jumps.movedim(axis, 0), joined.movedim(axis, 0), small_step)
    return total.mul_(0.25)


def _path_costs(
    lines: Float[Tensor, "line plane pixel"],
    jumps: Float[Tensor, "step pixel"],
    joined: Bool[Tensor, "step pixel"],
    small_step: float,
) -> Float[Tensor, "line plane pixel"]:
    """Sum path costs from the first line to the last and back; both ways go side by side."""
    count = len(lines)
    total = 2 * lines
    if count == 1:
        return total
    jumps = torch.stack([jumps, jumps.flip(0)], 1)[:, :, None]
    joined = torch.stack([joined, joined.flip(0)], 1)[:, :, None].to(lines)
    # A margin of infinite cost beside the first and last plane: nothing steps in from there.
    path = pad(torch.stack([lines[0], lines[-1]]), (0, 0, 1, 1), value=torch.inf)
    inner = path[:, 1:-1]
    for step in range(count - 1):
        lowest = inner.amin(1, keepdim=True)
        reached = torch.minimum(path[:, 2:], path[:, :-2]).add_(small_step)
        reached = torch.minimum(reached, inner, out=reached)
        reached = torch.minimum(reached, lowest + jumps[step], out=reached)
        reached.sub_(lowest).mul_(joined[step])
        ahead, back = step + 1, count - 2 - step
        total[ahead] += reached[0]
        total[back] += reached[1]
        torch.add(lines[ahead], reached[0], out=inner[0])
        torch.add(lines[back], reached[1], out=inner[1])
    return total


def minimum_place(costs: Float[Tensor, "plane height width"]) -> Float[Tensor, "height width"]:
    """Return the index of the least cost, between planes at the minimum of a parabola through it and its neighbours."""
    index: Int[Tensor, "height width"] = costs.argmin(0)
    inner = index.clamp(1, len(costs) - 2)
    before, at, after = (costs.gather(0, (inner + step)[None])[0] for step in (-1, 0, 1))
    curvature = before - 2 * at + after
    shift = (0.5 * (before - after) / curvature.clamp(min=1e-12)).clamp(-0.5, 0.5)
    return torch.where((index == inner) & (curvature > 1e-12), inner + shift, index)
