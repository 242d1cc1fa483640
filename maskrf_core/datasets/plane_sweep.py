"""Depth of one view from its neighbours: a plane sweep in plain torch, on whatever device the tensors are.

Planes are parallel to the reference image and uniform in inverse depth (Collins, CVPR 1996). Each neighbour is warped
onto each plane and compared by windowed normalised cross-correlation; the best few neighbours count, so that one that
cannot see the surface does no harm. Costs are smoothed along scan lines (semi-global matching, Hirschmüller, PAMI 2008)
and the minimum is refined between planes by a parabola.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d, pad

from maskrf_core.cameras import SMALLEST_PROJECTED_DEPTH

WORST_COST = 1.0
"""Cost of a plane on which a neighbour shows nothing; correlation 1 costs 0, correlation -1 costs 1."""
EDGE_WEIGHT = 20.0
"""How much a step in colour (of 1) eases a jump in depth."""
PIXELS_AT_A_TIME = 150_000
"""Over planes: bounds the memory, and what is at hand stays in a CPU's cache."""


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
    """How the sweep is done; the defaults were chosen on scenes whose depth is known."""

    planes: int = 64
    window: int = 3
    """Side of the correlation window in pixels, odd."""
    best_sources: int = 2
    """How many of the best-correlated neighbours count on each plane."""
    small_step_penalty: float = 0.01
    """Cost of a change by one plane between neighbouring pixels."""
    jump_penalty: float = 0.25
    """Cost of a larger change between neighbouring pixels of one colour; less across an edge in the image."""
    shift: int = 1
    """Pixels by which a window may be moved off its pixel to where it correlates best: keeps depth edges in place."""
    offsets: int = 8
    """Steps to either side when a first estimate is refined."""
    offset_step: float = 0.5
    """Their size, in distances between planes."""
    texture_floor: float = 0.01
    """Standard deviation (colours in [0, 1]) below which a window is thought to be noise."""


def inverse_depth_planes(near: float, far: float, count: int) -> Float[Tensor, "plane 1 1"]:
    """`count` depths from near to far, end points included, uniform in inverse depth."""
    return 1 / torch.linspace(1 / near, 1 / far, count)[:, None, None]


def sweep_depth(
    reference: SweepView,
    sources: list[SweepView],
    settings: SweepSettings,
    impossible: Bool[Tensor, "plane height width"] | None = None,
) -> Float[Tensor, "height width"]:
    """z-depth of every foreground pixel of `reference`, 0 elsewhere. Planes marked impossible are avoided."""
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
    """Like `sweep_depth`, over offsets from a `surface` (0 = none) in place of planes.

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
    """(1 - correlation)/2, averaged over the best sources, of every pixel on every plane."""
    height, width = reference.mask.shape
    kept = min(settings.best_sources, len(sources))
    costs = planes.new_empty(len(planes), height, width)
    correlation = WindowCorrelation(reference, settings)
    step = max(1, PIXELS_AT_A_TIME // (height * width))
    for start in range(0, len(planes), step):
        chunk = planes[start : start + step]
        best = [costs.new_full((len(chunk), height, width), WORST_COST) for _ in range(kept)]
        for source in sources:
            warped, visible = warp_to_planes(reference, source, chunk)
            cost = torch.where(visible, 0.5 - 0.5 * correlation(warped), WORST_COST)
            cost = -max_pool2d(-cost, 2 * settings.shift + 1, stride=1, padding=settings.shift)
            for place in range(kept):  # insertion into the sorted best
                best[place], cost = torch.minimum(best[place], cost), torch.maximum(best[place], cost)
        costs[start : start + step] = sum(best) / kept
    return costs


def warp_to_planes(
    reference: SweepView, source: SweepView, planes: Float[Tensor, "plane #height #width"]
) -> tuple[Float[Tensor, "plane 3 height width"], Bool[Tensor, "plane height width"]]:
    """The source image as each plane of the reference camera would show it, and where it does."""
    pixels, depth = project_planes(reference, source, planes)
    count, height, width = depth.shape
    size = pixels.new_tensor([source.mask.shape[1] - 1, source.mask.shape[0] - 1])
    grid = (2 * pixels / size - 1).reshape(1, count * height, width, 2)
    warped = grid_sample(source.image[None], grid, mode="bilinear", padding_mode="border", align_corners=True)
    inside = ((pixels >= 0) & (pixels <= size)).all(-1)
    warped = warped.reshape(3, count, height, width).transpose(0, 1)
    return warped, inside & (depth > SMALLEST_PROJECTED_DEPTH)


def project_planes(
    reference: SweepView, source: SweepView, planes: Float[Tensor, "plane #height #width"]
) -> tuple[Float[Tensor, "plane height width 2"], Float[Tensor, "plane height width"]]:
    """Source pixel (x, y) and source depth of every reference pixel at every depth: `K_s (z R K_r⁻¹ p + t)`."""
    rotation = source.w2c[:, :3] @ reference.w2c[:, :3].T
    offset = source.K @ (source.w2c[:, 3] - rotation @ reference.w2c[:, 3])
    height, width = reference.mask.shape
    y, x = torch.meshgrid(torch.arange(height).to(planes), torch.arange(width).to(planes), indexing="ij")
    direction = torch.stack([x, y, torch.ones_like(x)], -1) @ (source.K @ rotation @ torch.linalg.inv(reference.K)).T
    in_image = planes[..., None] * direction + offset
    depth = in_image[..., 2]
    return in_image[..., :2] / depth.clamp(min=SMALLEST_PROJECTED_DEPTH)[..., None], depth


class WindowCorrelation:
    """Zero-mean normalised cross-correlation with a reference image, over foreground windows, channels jointly."""

    def __init__(self, reference: SweepView, settings: SweepSettings):
        self._window = settings.window
        self._weight = reference.mask.to(reference.image)[None]
        self._share = self._box(self._weight[None])[0].clamp(min=1e-6)
        self._floor = settings.texture_floor**2
        self._image = reference.image
        self._mean, self._variance = self._moments(reference.image[None])

    def __call__(self, warped: Float[Tensor, "plane 3 height width"]) -> Float[Tensor, "plane height width"]:
        """In [-1, 1]; near 0 where either window has no texture."""
        mean, variance = self._moments(warped)
        covariance = (self._average(warped * self._image) - mean * self._mean).sum(1)
        return (covariance / (variance * self._variance).sqrt()).clamp(-1, 1)

    def _moments(self, image: Float[Tensor, "plane 3 height width"]) -> tuple[Tensor, Tensor]:
        mean = self._average(image)
        variance = (self._average(image.square()) - mean.square()).sum(1)
        return mean, variance.clamp(min=0) + self._floor

    def _average(self, image: Float[Tensor, "plane 3 height width"]) -> Float[Tensor, "plane 3 height width"]:
        return self._box(image * self._weight) / self._share

    def _box(self, image: Float[Tensor, "plane channel height width"]) -> Float[Tensor, "plane channel height width"]:
        # By cumulative sums: several times faster on a CPU than avg_pool2d, whatever the window.
        before, after = self._window // 2 + 1, self._window // 2
        rows = pad(image, (before, after, before, after)).cumsum(-1)
        columns = (rows[..., self._window :] - rows[..., : -self._window]).cumsum(-2)
        return columns[..., self._window :, :] - columns[..., : -self._window, :]


def smooth_costs(
    costs: Float[Tensor, "plane height width"], reference: SweepView, settings: SweepSettings
) -> Float[Tensor, "plane height width"]:
    """Sum over four scan directions of semi-global matching's path costs, over 4; the background parts paths."""
    volume = costs.permute(1, 2, 0).contiguous()
    mask = reference.mask
    total = torch.zeros_like(volume)
    for axis in (0, 1):
        edges = reference.image.diff(dim=axis + 1).abs().mean(0)
        jumps = settings.jump_penalty / (1 + EDGE_WEIGHT * edges)
        jumps = jumps.clamp(min=1.5 * settings.small_step_penalty)
        for flipped in (False, True):
            total += _path_costs(volume, mask, jumps, settings.small_step_penalty, axis, flipped)
    return (total / 4).permute(2, 0, 1)


def _path_costs(
    volume: Float[Tensor, "height width plane"],
    mask: Bool[Tensor, "height width"],
    jumps: Float[Tensor, "edge_height edge_width"],
    small_step: float,
    axis: int,
    flipped: bool,
) -> Float[Tensor, "height width plane"]:
    lines, masks, penalties = volume.unbind(axis), mask.unbind(axis), jumps.unbind(axis)
    order = range(len(lines) - 1, -1, -1) if flipped else range(len(lines))
    paths: list[Tensor] = [lines[0]] * len(lines)
    previous: Tensor | None = None
    for index in order:
        line = lines[index]
        if previous is not None:
            lowest = previous.min(dim=1, keepdim=True).values
            jump = penalties[index if flipped else index - 1]
            reached = torch.minimum(previous - lowest, jump[:, None])
            reached[:, 1:] = torch.minimum(reached[:, 1:], previous[:, :-1] - lowest + small_step)
            reached[:, :-1] = torch.minimum(reached[:, :-1], previous[:, 1:] - lowest + small_step)
            line = line + reached * (masks[index] & masks[index + 1 if flipped else index - 1])[:, None]
        paths[index] = previous = line
    return torch.stack(paths, dim=axis)


def minimum_place(costs: Float[Tensor, "plane height width"]) -> Float[Tensor, "height width"]:
    """Index of the least cost, between planes at the minimum of the parabola through it and its neighbours."""
    index: Int[Tensor, "height width"] = costs.argmin(0)
    inner = index.clamp(1, len(costs) - 2)
    before, at, after = (costs.gather(0, (inner + step)[None])[0] for step in (-1, 0, 1))
    curvature = before - 2 * at + after
    shift = (0.5 * (before - after) / curvature.clamp(min=1e-12)).clamp(-0.5, 0.5)
    return torch.where((index == inner) & (curvature > 1e-12), inner + shift, index)
