"""Depths along rays: uniform in inverse depth for the coarse pass, drawn where the coarse pass hit for the fine one."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

SMALLEST_DEPTH = 1e-5  # depths are clamped to this before they are inverted, in scene units
LAST_INTERVAL = 1e6  # length of the last sample's interval, in normalised inverse depth: all behind belongs to it


def normalised_inverse_depth(
    depth: Float[Tensor, "*shape"], near: Float[Tensor, "*#shape"], far: Float[Tensor, "*#shape"]
) -> Float[Tensor, "*shape"]:
    """Return 0 at near, 1 at far, linear in inverse depth; outside [0, 1] beyond the range. All depths are positive."""
    return (1 / near - 1 / depth.clamp(min=SMALLEST_DEPTH)) / (1 / near - 1 / far)


def depth_from_normalised(
    position: Float[Tensor, "*shape"], near: Float[Tensor, "*#shape"], far: Float[Tensor, "*#shape"]
) -> Float[Tensor, "*shape"]:
    """Invert `normalised_inverse_depth`."""
    return 1 / ((1 - position) / near + position / far)


def coarse_depths(depth_range: Float[Tensor, "2"], rays: int, samples: int) -> Float[Tensor, "{rays} {samples}"]:
    """Return depths uniform in inverse depth from near to far, both included, the same on every ray."""
    position = torch.linspace(0, 1, samples, dtype=depth_range.dtype, device=depth_range.device)
    return depth_from_normalised(position, depth_range[0], depth_range[1]).expand(rays, samples)


def intervals(depths: Float[Tensor, "ray sample"], depth_range: Float[Tensor, "2"]) -> Float[Tensor, "ray sample"]:
    """Return the distance from each sample to the next, in the query's normalised inverse depth; the last is 1e6."""
    position = normalised_inverse_depth(depths, depth_range[0], depth_range[1])
    last = torch.full_like(position[:, :1], LAST_INTERVAL)
    return torch.cat([position.diff(dim=1), last], dim=1)


@dataclass(frozen=True)
class RaySamples:
    """Samples of query rays, near to far, and how far the interval of each reaches to the front and to the back."""

    depths: Float[Tensor, "ray sample"]
    half_before: Float[Tensor, "ray sample"]
    """In the query's normalised inverse depth: half the interval before the sample; the first one uses its own."""
    half_behind: Float[Tensor, "ray sample"]
    index: ClassVar[Tensor | None] = None  # place among all samples of the ray; None: these are all
    weight: ClassVar[Tensor | None] = None  # number of samples of the ray that each stands for; None: each for itself

    @classmethod
    def at(cls, depths: Float[Tensor, "ray sample"], depth_range: Float[Tensor, "2"]) -> "RaySamples":
        """Return the samples at these depths, which are all on their rays."""
        half = intervals(depths, depth_range) / 2
        return cls(depths, torch.cat([half[:, :1], half[:, :-1]], dim=1), half)


def inverse_transform_sample(
    edges: Float[Tensor, "ray edge"], weights: Float[Tensor, "ray bin"], u: Float[Tensor, "ray new"]
) -> Float[Tensor, "ray new"]:
    """Return where the cumulated, normalised `weights` of the bins between `edges` reach `u` in [0, 1).

    The hierarchical sampling of NeRF (Mildenhall et al., ECCV 2020, section 5.2).
    Each weight is first raised by 1e-5, so that an empty ray is sampled uniformly; cdf steps under 1e-5 count as 1.
    """
    density = (weights + 1e-5) / (weights + 1e-5).sum(dim=1, keepdim=True)
    cdf = torch.cat([torch.zeros_like(density[:, :1]), density.cumsum(dim=1)], dim=1)
    above = torch.searchsorted(cdf, u.contiguous(), right=True).clamp(max=cdf.shape[1] - 1)
    below = (above - 1).clamp(min=0)
    cdf_below, cdf_above = cdf.gather(1, below), cdf.gather(1, above)
    step = cdf_above - cdf_below
    step = torch.where(step < 1e-5, torch.ones_like(step), step)
    edge_below, edge_above = edges.gather(1, below), edges.gather(1, above)
    return edge_below + (u - cdf_below) / step * (edge_above - edge_below)


def draw_fine_depths(
    depths: Float[Tensor, "ray sample"],
    hit_probability: Float[Tensor, "ray sample"],
    depth_range: Float[Tensor, "2"],
    samples: int,
    *,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "ray {samples}"]:
    """Draw new depths where the coarse pass found matter: uniformly random with a generator, evenly spread without.

    The gradient does not flow through the hit probabilities.
    """
    rays = len(depths)
    if generator is None:
        u = (torch.arange(samples, dtype=depths.dtype, device=depths.device) + 0.5) / samples
        u = u.expand(rays, samples)
    else:
        u = torch.rand(rays, samples, dtype=depths.dtype, device=generator.device, generator=generator)
        u = u.to(depths.device)
    near, far = depth_range
    position = normalised_inverse_depth(depths, near, far)
    midpoints = (position[:, 1:] + position[:, :-1]) / 2
    edges = torch.cat([position[:, :1], midpoints, position[:, -1:]], dim=1)
    return depth_from_normalised(inverse_transform_sample(edges, hit_probability.detach(), u), near, far)


class MergedSamples(NamedTuple):
    """Coarse and new samples, in order along each ray."""

    samples: RaySamples
    coarse_positions: Int64[Tensor, "ray coarse_sample"]  # place of each coarse sample in the sorted list


def merge_depths(
    coarse: Float[Tensor, "ray coarse_sample"], new: Float[Tensor, "ray new"], depth_range: Float[Tensor, "2"]
) -> MergedSamples:
    """Sort coarse and new depths into one list of samples."""
    depths, order = torch.sort(torch.cat([coarse, new], dim=1), dim=1)
    places = torch.arange(depths.shape[1], device=depths.device).expand_as(order)
    positions = torch.empty_like(order).scatter_(1, order, places)  # the inverse of the order
    return MergedSamples(RaySamples.at(depths, depth_range), positions[:, : coarse.shape[1]])
