"""Calls of the kernels: what they read laid out in memory, what they write made, and how many programs there are."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from maskrf_core.cameras import camera_centres
from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model.aggregators.neuray import sample_encoding
from maskrf_core.model.gathering import QueryRays
from maskrf_core.model.rendering import Mask
from maskrf_core.model.sampling import RaySamples

Products = Literal["ieee", "tf32", "tf32x3", "bf16"]
"""What kernels multiply in. tf32x3 is as exact as float32, on matrix units."""

KEPT = 80  # numbers that the backward pass keeps of a sample in a view


class Tile(NamedTuple):
    """Extent of a program: samples, and warps of 32 threads."""

    samples: int
    warps: int


FORWARD, BACKWARD = Tile(64, 4), Tile(64, 8)
INTERPRETED = Tile(16, 1)
PROGRAMS_OF_A_PROCESSOR = 2  # of the backward pass, each with gradients of all weights of its own


class PassInputs(NamedTuple):
    """What both kernels read beside maps and weights, and how they compute."""

    views: Views
    rays: QueryRays
    samples: RaySamples
    bits: Int64[Tensor, "ray sample"] | None  # of the mask: bit v is set where view v is masked
    zeros: bool  # in place of the mask token
    products: Products
    interpreted: bool

    @property
    def shape(self) -> torch.Size:
        return self.samples.depths.shape

    @property
    def room(self) -> int:
        """Return the samples of a ray as a kernel has them: a power of two."""
        return max(16, 1 << (self.shape[1] - 1).bit_length())

    @property
    def programs(self) -> int:
        """Return how many programs share the work of a backward pass."""
        if self.interpreted:
            return 2
        processors = torch.cuda.get_device_properties(self.samples.depths.device).multi_processor_count
        return PROGRAMS_OF_A_PROCESSOR * processors

    def tile(self, asked: Tile) -> Tile:
        return INTERPRETED if self.interpreted else asked


def mask_bits(mask: Mask) -> Int64[Tensor, "ray sample"]:
    """Return the views that are masked at each sample, as bits."""
    shift = torch.arange(len(mask), device=mask.device)[:, None, None]
    return (mask.long() << shift).sum(dim=0)


def cameras_of(views: Views) -> Float[Tensor, "view 32"]:
    """Lay out the cameras as the kernels read them: w2c, K, centre, near, far."""
    parts = (views.w2c.flatten(1), views.K.flatten(1), camera_centres(views.w2c), views.depth_range)
    return torch.nn.functional.pad(torch.cat(parts, dim=1), (0, 6)).contiguous()


def channels_last(maps: Float[Tensor, "view channel _ _"]) -> Float[Tensor, "view _ _ channel"]:
    """Return the maps as they mostly lie in memory already."""
    return maps.permute(0, 2, 3, 1).contiguous()


def _of_points(
    inputs: PassInputs, maps: Tensor, weights: Tensor, outputs: tuple[Any, ...], tile: Tile
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return what both kernels of points take, and how."""
    samples, (height, width) = inputs.samples, inputs.views.image_size
    lengths = (samples.depths.contiguous(), samples.half_before.contiguous(), samples.half_behind.contiguous())
    read = (
        *(weights, 0, channels_last(inputs.views.images), channels_last(maps), cameras_of(inputs.views)),
        *(inputs.rays.origin.contiguous(), inputs.rays.directions.contiguous(), *lengths),
        *((torch.zeros(1, dtype=torch.int64, device=maps.device), 0) if inputs.bits is None else (inputs.bits, 1)),
    )
    sizes = (inputs.shape.numel(), len(inputs.views), inputs.shape[1], width, height, *reversed(maps.shape[-2:]))
    how = {"ZEROS": inputs.zeros, "PRECISION": inputs.products}
    return (*read, *outputs, *sizes), {**how, "BLOCK": tile.samples, "num_warps": tile.warps, "num_stages": 1}


def points_forward(
    inputs: PassInputs, maps: Float[Tensor, "view 64 _ _"], weights: Float[Tensor, "number"]
) -> tuple[Float[Tensor, "ray sample 16"], Float[Tensor, "ray sample 3"], Int64[Tensor, "ray sample"]]:
    """Return each sample's geometry feature and blended colour, and how many views it projects into."""
    from maskrf_core.model.fast.point_kernel import point_kernel

    geometry, colours = (maps.new_empty(*inputs.shape, channels, dtype=torch.float32) for channels in (16, 3))
    seen_by = torch.empty(inputs.shape, dtype=torch.int64, device=maps.device)
    tile = inputs.tile(FORWARD)
    taken, how = _of_points(inputs, maps, weights, (geometry, colours, seen_by), tile)
    point_kernel[(-(-inputs.shape.numel() // tile.samples),)](*taken, **how)
    return geometry, colours, seen_by


def points_backward(
    inputs: PassInputs,
    maps: Float[Tensor, "view 64 _ _"],
    weights: Float[Tensor, "number"],
    of_geometry: Float[Tensor, "ray sample 16"],
    of_colours: Float[Tensor, "ray sample 3"],
) -> tuple[Float[Tensor, "number"], Float[Tensor, "view 64 _ _"]]:
    """Return what weights and maps have of the samples' features and colours."""
    from maskrf_core.model.fast.point_gradients import point_gradient_kernel

    tile = inputs.tile(BACKWARD)
    programs = min(inputs.programs, -(-inputs.shape.numel() // tile.samples))
    of_weights = torch.zeros(programs, len(weights), device=maps.device)
    of_maps = torch.zeros(channels_last(maps).shape, device=maps.device)
    kept = torch.empty(programs, len(inputs.views), tile.samples, KEPT, device=maps.device)
    given = (of_geometry.contiguous(), of_colours.contiguous(), of_weights, of_maps, kept, len(weights))
    taken, how = _of_points(inputs, maps, weights, given, tile)
    point_gradient_kernel[(programs,)](*taken, **how)
    return of_weights.sum(dim=0), of_maps.permute(0, 3, 1, 2)


def _of_rays(
    inputs: PassInputs, weights: Tensor, geometry: Tensor, colours: Tensor, seen_by: Tensor
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return what both kernels of rays take, and how."""
    samples, indexed = inputs.samples, inputs.samples.index is not None
    place, weight = (samples.index.contiguous(), samples.weight.contiguous()) if indexed else (seen_by, colours)
    taken = (weights, geometry, encodings(geometry.device), place, weight, seen_by, colours)
    how = {"INDEXED": indexed, "PRECISION": inputs.products, "S": inputs.room}
    return (*taken, samples.depths.contiguous()), {**how, "num_warps": 8 if inputs.room > 64 else 4}


def rays_forward(
    inputs: PassInputs,
    weights: Float[Tensor, "number"],
    geometry: Float[Tensor, "ray sample 16"],
    colours: Float[Tensor, "ray sample 3"],
    seen_by: Int64[Tensor, "ray sample"],
) -> tuple[Tensor, ...]:
    """Return scene features and densities of the samples, and colours, depths and hit probabilities of the rays."""
    from maskrf_core.model.fast.ray_kernel import ray_kernel

    rays = inputs.shape[0]
    features, density, hits = (
        torch.empty_like(geometry),
        colours.new_empty(inputs.shape),
        colours.new_empty(inputs.shape),
    )
    rgb, depth = colours.new_empty(rays, 3), colours.new_empty(rays)
    taken, how = _of_rays(inputs, weights, geometry, colours, seen_by)
    ray_kernel[(rays,)](*taken, features, density, rgb, depth, hits, inputs.shape[1], **how)
    return features, density, rgb, depth, hits


def rays_backward(
    inputs: PassInputs,
    weights: Float[Tensor, "number"],
    geometry: Float[Tensor, "ray sample 16"],
    colours: Float[Tensor, "ray sample 3"],
    seen_by: Int64[Tensor, "ray sample"],
    of_outputs: tuple[Tensor, ...],
) -> tuple[Float[Tensor, "number"], Float[Tensor, "ray sample 16"], Float[Tensor, "ray sample 3"]]:
    """Return what weights, geometry features and colours have of what `rays_forward` returns."""
    from maskrf_core.model.fast.ray_gradients import ray_gradient_kernel

    programs = min(4 * inputs.programs, inputs.shape[0])
    of_geometry, of_colours = torch.empty_like(geometry), torch.empty_like(colours)
    of_weights = torch.zeros(programs, len(weights), device=geometry.device)
    taken, how = _of_rays(inputs, weights, geometry, colours, seen_by)
    given = (*(part.contiguous() for part in of_outputs), of_geometry, of_colours, of_weights, len(weights))
    ray_gradient_kernel[(programs,)](*taken, *given, *inputs.shape, **how)
    return of_weights.sum(dim=0), of_geometry, of_colours


@lru_cache(maxsize=4)
def encodings(device: torch.device) -> Float[Tensor, "place 16"]:
    """Return the encodings of all places that a sample can have on its ray."""
    with torch.inference_mode(False):
        return sample_encoding(torch.empty(1, 2048, 16, device=device)).contiguous()
