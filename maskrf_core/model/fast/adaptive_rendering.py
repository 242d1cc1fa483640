"""Rendering with fewer samples: a coarse pass for some pixels guides all others, and the fine pass is thinned.

The coarse pass serves to find surfaces, and neighbouring pixels mostly see the same ones: it is done for the nodes of a
grid over the query image alone. In between, hit probabilities are interpolated. Of every block of neighbouring samples
on a ray, the fine pass looks at one, which counts as often as the block has.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, rays_of
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import PassRendering, Rendering, concatenate_passes
from maskrf_core.model.sampling import MergedSamples, RaySamples
from maskrf_core.support.machine import MapFunction

NEW_COUNTS = 2.0
"""Room of a sample drawn where the coarse pass hit; a coarse one has 1. Else surfaces suffer first in large blocks."""


class AdaptiveSettings(NamedTuple):
    """Extent of what is left out. A grid of 1 and as many samples as there are leave out nothing."""

    grid: int = 2  # pixels between the rays of the coarse pass, in x and y
    samples: int = 32
    """Samples of the fine pass that are looked at on each ray: they stand for coarse and new ones together."""


ADAPTIVE_SETTINGS = AdaptiveSettings()
FineSamples = Callable[[Renderer, PassRendering, QueryRays, Tensor], MergedSamples]


def render_chunks_adaptively(
    renderer: Renderer,
    features: ReferenceFeatures,
    query: Views,
    pixels_xy: Float[Tensor, "ray 2"],
    rays_per_chunk: int,
    saving: AdaptiveSettings = ADAPTIVE_SETTINGS,
    map_chunks: MapFunction = map,
) -> Iterator[Rendering]:
    """Render any pixels of a query, in order, a chunk at a time, without gradients; `map_chunks` as in
    `Renderer.render_chunks`.

    The guide comes first: it keeps the coarse pass of all nodes. `Rendering.coarse` is interpolated from it;
    `Rendering.fine` has only the samples that were looked at. A pixel's colour depends neither on the chunk nor on the
    other pixels.
    """
    if len(pixels_xy) == 0:
        return

    guide, *around = coarse_guide(renderer, features, query, pixels_xy, rays_per_chunk, saving.grid, map_chunks)

    @torch.inference_mode()
    def chunk(part: tuple[Tensor, Tensor, Tensor]) -> Rendering:
        pixels, corners, weights = part
        coarse = interpolated(guide, corners, weights)
        return Rendering(coarse, render_thinned(renderer, features, query, pixels, coarse, saving))

    parts = (part.split(rays_per_chunk) for part in (pixels_xy, *around))
    yield from map_chunks(chunk, zip(*parts, strict=True))


@torch.inference_mode()
def coarse_guide(
    renderer: Renderer,
    features: ReferenceFeatures,
    query: Views,
    pixels_xy: Float[Tensor, "ray 2"],
    rays_per_chunk: int,
    grid: int,
    map_chunks: MapFunction,
) -> tuple[PassRendering, Int64[Tensor, "ray 4"], Float[Tensor, "ray 4"]]:
    """Render the coarse pass of the nodes around pixels; return it, and each pixel's four nodes and their weights."""

    @torch.inference_mode()  # in a thread of its own too
    def coarse_chunk(nodes: Tensor) -> PassRendering:
        return renderer.render_coarse(features, rays_of(query, nodes))[0]

    nodes, *around = nodes_around(pixels_xy, grid)
    return concatenate_passes(list(map_chunks(coarse_chunk, nodes.split(rays_per_chunk)))), *around


def render_thinned(
    renderer: Renderer,
    features: ReferenceFeatures,
    query: Views,
    pixels_xy: Float[Tensor, "ray 2"],
    coarse: PassRendering,
    saving: AdaptiveSettings,
    fine_samples: FineSamples | None = None,
) -> PassRendering:
    """Render the fine pass of some pixels at few samples, from a coarse one of theirs; whoever knows more of these
    pixels than the coarse pass brings `fine_samples` of them."""
    rays = rays_of(query, pixels_xy)
    known = (
        renderer.fine_samples(coarse, rays) if fine_samples is None else fine_samples(renderer, coarse, rays, pixels_xy)
    )
    thinned = thin(known, saving.samples)
    _, points, *made = renderer.fine(features, rays, thinned, mask=None)
    return renderer.composite(points, thinned.depths, coarse.ray_mask, *made)


def nodes_around(
    pixels_xy: Float[Tensor, "ray 2"], grid: int
) -> tuple[Float[Tensor, "node 2"], Int64[Tensor, "ray 4"], Float[Tensor, "ray 4"]]:
    """Return all nodes, at multiples of `grid` pixels, around the pixels, the four of each, and their bilinear weights.

    Every node is there once; some may lie beyond the image. A pixel between two nodes has those alone.
    """
    position = pixels_xy / grid
    first = position.floor()
    origin, end = first.amin(dim=0), position.ceil().amax(dim=0)
    columns = int(end[0] - origin[0]) + 1
    (x, y), (right, below) = (first - origin).long().unbind(1), (position.ceil() - first).long().unbind(1)
    corners = torch.stack([row * columns + column for row in (y, y + below) for column in (x, x + right)], dim=1)
    numbers, index = corners.unique(return_inverse=True)
    places = torch.stack([numbers % columns, numbers // columns], dim=1) + origin
    x, y = (position - first).unbind(1)
    weights = torch.stack([of_y * of_x for of_y in (1 - y, y) for of_x in (1 - x, x)], dim=1)
    return places * grid, index, weights


def interpolated(
    guide: PassRendering, corners: Int64[Tensor, "ray 4"], weights: Float[Tensor, "ray 4"]
) -> PassRendering:
    """Interpolate the guide between its nodes. Views see a pixel where they see every node around it."""

    def mean(values: Tensor) -> Tensor:
        return torch.einsum("rn,rn...->r...", weights, values[corners])

    means = {name: mean(getattr(guide, name)) for name in ("rgb", "depth", "hit_probability")}
    depths = guide.sample_depths[:1].expand(len(corners), -1)  # they are the same on every ray
    direct = None if guide.direct_rgb is None else mean(guide.direct_rgb)
    return PassRendering(**means, sample_depths=depths, ray_mask=guide.ray_mask[corners].all(dim=1), direct_rgb=direct)


@dataclass(frozen=True)
class ThinnedSamples(RaySamples):
    """Samples that were chosen from the full list of their ray, with the intervals that they have in it.

    The networks know their samples by number, by index and by the length of their intervals, so a shorter list would
    be foreign to them. A sample is therefore looked at as the one of the full list that it is, and weighs as much as
    its block: as many equal keys of attention, as many times the density.
    """

    index: Int64[Tensor, "ray sample"] = field()  # place in the full list, rising along the ray
    weight: Float[Tensor, "ray sample"] = field()  # number of samples of the full list that it stands for


def thin(merged: MergedSamples, kept: int) -> ThinnedSamples:
    """Choose the middle samples of `kept` blocks of consecutive ones; all samples where there are fewer.

    All blocks have about equal room, so that they are shorter where samples were drawn than between surfaces.
    """
    every = merged.samples
    begin, end = blocks(merged, min(kept, every.depths.shape[1]))
    index = (begin + end) // 2
    parts = (part.gather(1, index) for part in (every.depths, every.half_before, every.half_behind))
    return ThinnedSamples(*parts, index, (end - begin).to(every.depths.dtype))


def blocks(merged: MergedSamples, count: int) -> tuple[Int64[Tensor, "ray {count}"], Int64[Tensor, "ray {count}"]]:
    """Return begin and end of `count` blocks, none of them empty, that together are the merged list."""
    rays, full = merged.samples.depths.shape
    coarse = merged.coarse_positions.shape[1]
    total = coarse + NEW_COUNTS * (full - coarse)
    # A sample with more room than a block has would leave one empty.
    new_counts, total = (NEW_COUNTS, total) if NEW_COUNTS * count <= total else (1.0, full)
    room = torch.full_like(merged.samples.depths, new_counts).scatter(1, merged.coarse_positions, 1.0)
    middle = room.cumsum(dim=1) - room / 2
    bounds = torch.arange(1, count, dtype=middle.dtype, device=middle.device) * (total / count)
    inner = torch.searchsorted(middle, bounds.expand(rays, -1).contiguous())
    first, last = (torch.full_like(merged.coarse_positions[:, :1], place) for place in (0, full))
    return torch.cat([first, inner], dim=1), torch.cat([inner, last], dim=1)
