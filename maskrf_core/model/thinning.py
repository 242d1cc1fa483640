"""Few samples that stand for many: one of every block of neighbours on a ray, which counts as often as the block has.

The networks know their samples by number, by index and by the length of their intervals, so a shorter list would be
foreign to them. A representative is therefore looked at as the sample of the full list that it is, and weighs as much
as its block: as many equal keys of attention, as many times the density.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from maskrf_core.model.sampling import half_intervals, intervals


class Chosen(NamedTuple):
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
    depths: Float[Tensor, "ray full"], depth_range: Float[Tensor, "2"], block: int
) -> tuple[Float[Tensor, "ray sample"], Chosen]:
    """The middle sample of every `block` consecutive ones (the last block may be shorter), and what it keeps."""
    rays, full = depths.shape
    first = torch.arange(0, full, block, device=depths.device)
    end = (first + block).clamp(max=full)
    index = (first + end) // 2
    half_before, half_behind = half_intervals(intervals(depths, depth_range))
    weight = (end - first).to(depths.dtype).expand(rays, -1)
    chosen = Chosen(index.expand(rays, -1), weight, half_before[:, index], half_behind[:, index])
    return depths[:, index], chosen
