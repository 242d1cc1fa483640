"""Few samples that stand for many: one of every block of neighbours on a ray, which counts as often as the block has.

The networks know their samples by number, by index and by the length of their intervals, so a shorter list would be
foreign to them. A representative is therefore looked at as the sample of the full list that it is, and weighs as much
as its block: as many equal keys of attention, as many times the density.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from maskrf_core.model.sampling import MergedDepths, half_intervals, intervals

NEW_COUNTS = 2.0
"""How much room among the representatives a sample gets that was drawn where the coarse pass hit; a coarse one gets 1.
Without a difference surfaces suffer first when blocks grow."""


class ThinnedSamples(NamedTuple):
    """What samples that were chosen from the full list of their ray keep of it."""

    index: Int64[Tensor, "ray sample"]
    """Place in the full list, rising along the ray."""
    weight: Float[Tensor, "ray sample"]
    """How many samples of the full list it stands for."""
    half_before: Float[Tensor, "ray sample"]
    """How far its own interval in the full list reaches to the front, in the query's normalised inverse depth."""
    half_behind: Float[Tensor, "ray sample"]
    """The same to the back."""


def thin(
    merged: MergedDepths, depth_range: Float[Tensor, "2"], kept: int
) -> tuple[Float[Tensor, "ray sample"], ThinnedSamples]:
    """The middle samples of `kept` blocks of consecutive ones, and what they keep; all samples where there are fewer.

    All blocks have about equal room, so that they are shorter where samples were drawn than between surfaces.
    """
    begin, end = blocks(merged, min(kept, merged.depths.shape[1]))
    index = (begin + end) // 2
    halves = half_intervals(intervals(merged.depths, depth_range))
    half_before, half_behind = (half.gather(1, index) for half in halves)
    weight = (end - begin).to(merged.depths.dtype)
    return merged.depths.gather(1, index), ThinnedSamples(index, weight, half_before, half_behind)


def blocks(merged: MergedDepths, count: int) -> tuple[Int64[Tensor, "ray {count}"], Int64[Tensor, "ray {count}"]]:
    """Begin and end of `count` blocks, none of them empty, that together are the merged list."""
    rays, full = merged.depths.shape
    coarse = merged.coarse_positions.shape[1]
    total = coarse + NEW_COUNTS * (full - coarse)
    # A sample with more room than a block has would leave one empty.
    new_counts, total = (NEW_COUNTS, total) if NEW_COUNTS * count <= total else (1.0, full)
    room = torch.full_like(merged.depths, new_counts).scatter(1, merged.coarse_positions, 1.0)
    middle = room.cumsum(dim=1) - room / 2
    bounds = torch.arange(1, count, dtype=middle.dtype, device=middle.device) * (total / count)
    inner = torch.searchsorted(middle, bounds.expand(rays, -1).contiguous())
    first, last = (torch.full_like(merged.coarse_positions[:, :1], place) for place in (0, full))
    return torch.cat([first, inner], dim=1), torch.cat([inner, last], dim=1)
