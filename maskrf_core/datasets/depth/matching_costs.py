"""Costs of matching: images compared window by window, and costs smoothed along the lines of an image, in plain torch.

Zero-mean normalised cross-correlation, and semi-global matching (Hirschmüller, PAMI 2008).
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

EDGE_WEIGHT = 20.0  # factor by which a step in colour (of 1) eases a jump in depth


def window_correlation(
    image: Float[Tensor, "3 height width"], mask: Bool[Tensor, "height width"], *, window: int, texture_floor: float
) -> Callable[[Float[Tensor, "image 3 height width"]], Float[Tensor, "image height width"]]:
    """Return the zero-mean normalised cross-correlation with `image`, over foreground windows, channels jointly.

    It is in [-1, 1], and near 0 where either window has no texture. `window` is the side of the windows in pixels, odd;
    `texture_floor` the standard deviation (colours in [0, 1]) below which a window is thought to be noise.
    """
    radius, weight = window // 2, mask.to(image)
    share = over_windows(weight, radius, Tensor.add_).clamp(min=1e-6)

    def average(values: Float[Tensor, "*channel height width"]) -> Float[Tensor, "*channel height width"]:
        return over_windows(values * weight, radius, Tensor.add_).div_(share)

    def variance(images: Float[Tensor, "image 3 height width"], means: Tensor) -> Float[Tensor, "image height width"]:
        return (average(images.square().sum(1)) - means.square().sum(1)).clamp_(min=0).add_(texture_floor**2)

    mean = average(image)
    own_variance = variance(image[None], mean[None])

    def correlate(other: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image height width"]:
        other_mean = average(other)
        covariance = average((other * image).sum(1)) - (other_mean * mean).sum(1)
        return covariance.mul_((variance(other, other_mean) * own_variance).rsqrt_()).clamp_(-1, 1)

    return correlate


def over_windows(
    values: Float[Tensor, "*channel height width"], radius: int, combine_: Callable[[Tensor, Tensor], object]
) -> Float[Tensor, "*channel height width"]:
    """Combine the values in the square of side 2·radius + 1 about each pixel, in place into the first argument.

    By shifts along rows, then columns: several times faster on a CPU than pooling, and as fast as any on a GPU.
    """
    for axis in (-1, -2):
        whole, length = values.clone(), values.shape[axis]
        for step in range(1, min(radius, length - 1) + 1):
            combine_(whole.narrow(axis, step, length - step), values.narrow(axis, 0, length - step))
            combine_(whole.narrow(axis, 0, length - step), values.narrow(axis, step, length - step))
        values = whole
    return values


def minimum_(whole: Tensor, part: Tensor) -> Tensor:
    """Put the smaller of both values into `whole`."""
    return torch.minimum(whole, part, out=whole)


def smooth_costs(
    costs: Float[Tensor, "plane height width"],
    image: Float[Tensor, "3 height width"],
    mask: Bool[Tensor, "height width"],
    small_step_penalty: float,
    jump_penalty: float,
) -> Float[Tensor, "plane height width"]:
    """Average the path costs over four scan directions; the background parts paths.

    `small_step_penalty` is the cost of a change by one plane between neighbouring pixels, `jump_penalty` that of a
    larger change between pixels of one colour.
    """
    total = torch.zeros_like(costs)
    for axis in (0, 1):
        edges = image.diff(dim=axis + 1).abs().mean(0)
        jumps = (jump_penalty / (1 + EDGE_WEIGHT * edges)).clamp(min=1.5 * small_step_penalty)
        length = mask.shape[axis]
        joined = mask.narrow(axis, 1, length - 1) & mask.narrow(axis, 0, length - 1)
        lines, of_total = costs.movedim(axis + 1, 0).contiguous(), total.movedim(axis + 1, 0)
        of_total += _path_costs(lines, jumps.movedim(axis, 0), joined.movedim(axis, 0), small_step_penalty)
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
