"""Rendering for the eye while it waits: few views, and few samples around the depth that the views agree on.

After the idea of ENeRF (Lin et al., SIGGRAPH Asia 2022): where the surface is known roughly, a few samples do. Here it
is known from the coarse pass of a wide grid, as in the adaptive rendering, and from the views' own depth maps, which
have most pixels. What these show of the query also tells which views are worth asking. Between pixels that came out
alike, colours are interpolated.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import max_pool2d

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model.fast.adaptive_rendering import (
    AdaptiveSettings,
    coarse_guide,
    interpolated,
    nodes_around,
    render_thinned,
)
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import PassRendering, Rendering, concatenate
from maskrf_core.model.sampling import MergedSamples, depth_from_normalised, merge_depths, normalised_inverse_depth
from maskrf_core.support.machine import MapFunction, one_thread

PREVIEW_SETTINGS = AdaptiveSettings(grid=12, samples=5)
WITHOUT_DEPTHS = AdaptiveSettings(grid=8, samples=6)  # where views have no depth maps
ON_SURFACE = 0.5  # share of the new samples that are drawn where the depth maps have a surface
EXTENT = 0.5  # from the first of these to the last, in coarse intervals of inverse depth
LATTICE = 2  # pixels in x and y between those that are rendered whatever they show
ALIKE = 0.06  # by which the colours of a pixel's neighbours there may differ, for it to be interpolated
ALIKE_EMPTY = 0.03  # the same of the coarse nodes around it, where no depth map has anything
PIXELS_OF_A_CHUNK = 2  # for each ray at once: most are in the lattice or interpolated


def render_preview(
    renderer: Renderer,
    features: ReferenceFeatures,
    query: Views,
    pixels_xy: Float[Tensor, "ray 2"],
    rays_per_chunk: int,
    saving: AdaptiveSettings = PREVIEW_SETTINGS,
    map_chunks: MapFunction = map,
    surface: Float[Tensor, "height width"] | None = None,
) -> Iterator[Rendering]:
    """Render every other pixel in x and y; of the others those whose neighbours differ, and interpolate the rest.

    Of a pixel of the former where nothing is to be seen, the coarse pass does; its fine samples have no hit.
    A pixel's colour does not depend on which others are asked for. Where it is interpolated, so is its depth, also
    across an edge between surfaces of one colour; hit probabilities and depths of its samples are those of the nearest
    neighbour. `saving.grid` is a multiple of 2, so that the coarse pass comes out as it would for every pixel. The rest
    as `render_chunks_adaptively`.
    """
    if len(pixels_xy) == 0:
        return
    fine_samples = None if surface is None else partial(samples_around, surface)
    with torch.inference_mode(), one_thread():
        nodes, *around = nodes_around(pixels_xy, LATTICE)
    lattice = _rendered_lattice(renderer, features, query, nodes, rays_per_chunk, saving, map_chunks, surface)

    @torch.inference_mode()
    def chunk(part: tuple[Tensor, Tensor, Tensor]) -> Rendering:
        pixels, corners, weights = part
        coarse, fine = (between(each, corners, weights) for each in (lattice.coarse, lattice.fine))
        colours = lattice.fine.rgb[corners]
        (differ,) = ((colours.amax(dim=1) - colours.amin(dim=1)).amax(dim=1) > ALIKE).nonzero(as_tuple=True)
        for some in differ.split(rays_per_chunk) if len(differ) else ():
            # Itself interpolated, between pixels that are all in the lattice: so it is what these pixels would have.
            guide = interpolated(lattice.coarse, corners[some], weights[some])
            made = render_thinned(renderer, features, query, pixels[some], guide, saving, fine_samples)
            for name, values in vars(made).items():
                if values is not None:
                    getattr(fine, name)[some] = values
        return Rendering(coarse, fine)

    parts = (part.split(PIXELS_OF_A_CHUNK * rays_per_chunk) for part in (pixels_xy, *around))
    yield from map_chunks(chunk, zip(*parts, strict=True))


def _rendered_lattice(
    renderer: Renderer,
    features: ReferenceFeatures,
    query: Views,
    pixels_xy: Float[Tensor, "ray 2"],
    rays_per_chunk: int,
    saving: AdaptiveSettings,
    map_chunks: MapFunction,
    surface: Float[Tensor, "height width"] | None,
) -> Rendering:
    """Render all pixels; of those where nothing is to be seen, the coarse pass alone."""
    guide, *around = coarse_guide(renderer, features, query, pixels_xy, rays_per_chunk, saving.grid, map_chunks)
    fine_samples = None if surface is None else partial(samples_around, surface)

    @torch.inference_mode()
    def chunk(part: tuple[Tensor, Tensor, Tensor]) -> Rendering:
        pixels, corners, weights = part
        coarse = interpolated(guide, corners, weights)
        return Rendering(coarse, render_thinned(renderer, features, query, pixels, coarse, saving, fine_samples))

    with torch.inference_mode(), one_thread():
        empty = are_empty(pixels_xy, surface, guide, around[0])
        order, shown = empty.to(torch.uint8).argsort(stable=True), int((~empty).sum())
        pixels_xy, *around = (part[order] for part in (pixels_xy, *around))
    made = []
    if shown:
        parts = (part[:shown].split(rays_per_chunk) for part in (pixels_xy, *around))
        made += map_chunks(chunk, zip(*parts, strict=True))
    with torch.inference_mode(), one_thread():
        if shown < len(empty):
            samples = min(saving.samples, renderer.settings.coarse_samples + renderer.settings.fine_samples)
            coarse = interpolated(guide, *(part[shown:] for part in around))
            made.append(Rendering(coarse, nothing_along(coarse, samples)))
        return _in_order(concatenate(made), order.argsort())


def _in_order(rendering: Rendering, order: Int64[Tensor, "ray"]) -> Rendering:
    """Return the same rays in another order."""
    coarse, fine = (
        replace(of, **{name: values[order] for name, values in vars(of).items() if values is not None})
        for of in (rendering.coarse, rendering.fine)
    )
    return Rendering(coarse, fine)


def are_empty(
    pixels_xy: Float[Tensor, "ray 2"],
    surface: Float[Tensor, "height width"] | None,
    guide: PassRendering,
    corners: Int64[Tensor, "ray 4"],
) -> Bool[Tensor, "ray"]:
    """Tell where no depth map has a surface around a pixel, and the coarse pass is alike at all nodes around."""
    if surface is None:
        return pixels_xy.new_zeros(len(pixels_xy), dtype=torch.bool)
    colours = guide.rgb[corners]
    alike = (colours.amax(dim=1) - colours.amin(dim=1)).amax(dim=1) <= ALIKE_EMPTY
    near = max_pool2d(surface.isfinite().to(surface.dtype)[None, None], 2 * LATTICE + 1, 1, LATTICE)[0, 0] > 0
    height, width = surface.shape
    x, y = pixels_xy.round().long().unbind(dim=1)
    return alike & ~near[y.clamp(0, height - 1), x.clamp(0, width - 1)]


def nothing_along(coarse: PassRendering, samples: int) -> PassRendering:
    """Return a fine pass that looked at nothing: colours and depths of the coarse one, and no hit up to far."""
    far = coarse.sample_depths[:, -1:].expand(-1, samples)
    return replace(coarse, sample_depths=far, hit_probability=torch.zeros_like(far))


def between(lattice: PassRendering, corners: Int64[Tensor, "ray 4"], weights: Float[Tensor, "ray 4"]) -> PassRendering:
    """Interpolate colours and depths between pixels of a lattice; the samples are those of the nearest one."""
    nearest = corners.gather(1, weights.argmax(dim=1, keepdim=True))[:, 0]
    of_nearest = {name: getattr(lattice, name)[nearest] for name in ("hit_probability", "sample_depths")}
    none = {name: getattr(lattice, name)[:, :0] for name in of_nearest}
    return replace(interpolated(replace(lattice, **none), corners, weights), **of_nearest)


def samples_around(
    surface: Float[Tensor, "height width"],
    renderer: Renderer,
    coarse: PassRendering,
    rays: QueryRays,
    pixels_xy: Float[Tensor, "ray 2"],
) -> MergedSamples:
    """Draw new samples and merge them in, as `Renderer.fine_samples`, but half of them around the depth of the views'
    maps, where they have one."""
    height, width = surface.shape
    x, y = pixels_xy.round().long().unbind(dim=1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    depth = torch.where(inside, surface[y.clamp(0, height - 1), x.clamp(0, width - 1)], torch.inf)
    (near, far), known = rays.depth_range, depth.isfinite()
    count = renderer.settings.fine_samples
    there = round(ON_SURFACE * count)

    def drawn(of: Tensor, some: int) -> Tensor:
        hits = coarse.sample_depths[of], coarse.hit_probability[of]
        return renderer.aggregator.new_depths(rays._replace(directions=rays.directions[of]), *hits, some, None)

    offsets = (torch.arange(there, dtype=depth.dtype, device=depth.device) + 0.5) / there - 0.5
    place = normalised_inverse_depth(depth[known], near, far)[:, None]
    place = (place + EXTENT / (coarse.sample_depths.shape[1] - 1) * offsets).clamp(0, 1)
    new = depth.new_empty(len(depth), count)
    new[known] = torch.cat([drawn(known, count - there), depth_from_normalised(place, near, far)], dim=1)
    new[~known] = drawn(~known, count)
    return merge_depths(coarse.sample_depths, new, rays.depth_range)
