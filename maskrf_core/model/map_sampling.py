"""Values of maps between their pixels."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

Padding = Literal["border", "zeros"]


class Corners(NamedTuple):
    """The four map pixels around each point, as rows of all maps' pixels one after the other, and their weights."""

    rows: Int64[Tensor, "point 4"]
    weights: Float[Tensor, "point 4"]


def sample_map(
    maps: Float[Tensor, "view channel map_height map_width"],
    pixels_xy: Float[Tensor, "view *points 2"],
    height: int,
    width: int,
    *,
    padding: Padding = "border",
) -> Float[Tensor, "view *points channel"]:
    """Bilinear values of per-view maps at pixels of `height` × `width` images; beyond the map, its border or zeros.

    A map of the image's own size is sampled at pixel centres. A smaller one is sampled by the half-size convention of
    the published checkpoints, a fraction of a feature pixel off.
    """
    return values_at(maps, corners_of(tuple(maps.shape[-2:]), pixels_xy, height, width, padding=padding), pixels_xy)


def values_at(
    maps: Float[Tensor, "view channel map_height map_width"],
    corners: Corners,
    pixels_xy: Float[Tensor, "view *points 2"],
) -> Float[Tensor, "view *points channel"]:
    """What maps hold at corners that were found for their size.

    A weighted sum of rows is several times as fast on a CPU as `grid_sample`, forward and backward, because the
    channels of a pixel lie together; where `maps` are channels-last already (`channels_last`), nothing is copied.
    """
    rows = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    weights = corners.weights.to(rows.dtype)
    if rows.is_cuda and torch.compiler.is_compiling():  # which makes one kernel of all that, and none of the bag
        values = (rows[corners.rows] * weights[..., None]).sum(dim=1)
    else:
        values = functional.embedding_bag(corners.rows, rows, per_sample_weights=weights, mode="sum")
    return values.view(*pixels_xy.shape[:-1], -1)


def channels_last(maps: Float[Tensor, "view channel _ _"]) -> Float[Tensor, "view channel _ _"]:
    """The same maps, laid out so that the channels of a pixel lie together."""
    return maps.contiguous(memory_format=torch.channels_last)


def corners_of(
    size: tuple[int, int],
    pixels_xy: Float[Tensor, "view *points 2"],
    height: int,
    width: int,
    *,
    padding: Padding = "border",
) -> Corners:
    """Where pixels of `height` × `width` images lie among the pixels of maps of `size` (rows, columns)."""
    last = torch.tensor([size[1] - 1, size[0] - 1], dtype=pixels_xy.dtype, device=pixels_xy.device)
    position = pixels_xy.flatten(1, -2)
    if size != (height, width):
        image = torch.tensor([width - 1, height - 1], dtype=position.dtype, device=position.device)
        position = position / image * (last + 1) - 0.5
    # What is far outside or not a number would leave the range of integers.
    position = torch.minimum(position.nan_to_num(-2.0).clamp(min=-2), last + 2)
    if padding == "border":
        position = torch.minimum(position.clamp(min=0), last)
    first = position.floor()
    (left, top), (right, bottom) = first.unbind(dim=-1), (first + 1).unbind(dim=-1)
    (x, y), (columns, rows) = (position - first).unbind(dim=-1), last.unbind()
    weights = [1 - x, x, 1 - y, y]
    places = [(left, columns), (right, columns), (top, rows), (bottom, rows)]
    if padding == "zeros":
        weights = [weight * _within(*place) for weight, place in zip(weights, places, strict=True)]
    left, right, top, bottom = (torch.minimum(place.clamp(min=0), limit).long() for place, limit in places)
    before = torch.arange(len(position), device=position.device)[:, None, None] * (size[0] * size[1])
    of_map = _around(left, right, top * size[1], bottom * size[1], torch.add)
    return Corners((of_map + before).view(-1, 4), _around(*weights, torch.mul).view(-1, 4))


def _around(left: Tensor, right: Tensor, top: Tensor, bottom: Tensor, combine: Callable) -> Tensor:
    """The two in x with the two in y: all four corners."""
    return torch.stack([combine(x, y) for y in (top, bottom) for x in (left, right)], dim=-1)


def _within(index: Tensor, last: Tensor) -> Tensor:
    return ((index >= 0) & (index <= last)).to(index.dtype)
