"""A pass in C++ for a CPU's core: a block of samples stays in its cache through all layers and views."""

import ctypes
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model.aggregators.neuray import AggregationNetwork
from maskrf_core.model.fast.kernel_launches import cameras_of, channels_last, encodings, mask_bits
from maskrf_core.model.fast.native_library import CompilerError, compiled_code
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures
from maskrf_core.model.renderer import PassPrediction, RenderPass
from maskrf_core.model.rendering import Composited, Mask, PointPrediction
from maskrf_core.model.sampling import RaySamples

OF_VIEWS = ("direction", "ray_embedding", "visibility_weight", "base", "residual_and_visibility", "visibility")
MOST_OF_MAPS = 2**28  # numbers: each thread has gradients of all maps of its own
TOKEN = "aggregation.mask_token"
LAYERS = (
    *(f"distribution_decoder.{head}.{place}" for head in ("mean", "sharpness", "mixing_weight") for place in (0, 2, 4)),
    *(f"aggregation.{network}.{place}" for network in (*OF_VIEWS, "geometry") for place in (0, 2)),
    *(f"aggregation.blending.{place}" for place in (0, 2, 4)),
    TOKEN,
    *(f"aggregation.ray_attention.{name}" for name in ("query", "key", "value", "output", "norm")),
    *(f"aggregation.density.{place}" for place in (0, 2)),
)
"""In the order in which `native/points.h` and `native/rays.h` read them."""


def why_not(render_pass: nn.Module) -> str | None:
    """Say why C++ cannot compute a pass here; None where it can."""
    if not isinstance(render_pass, RenderPass) or type(render_pass.aggregation) is not AggregationNetwork:
        return "the native code is that of NeuRay's aggregation"
    if render_pass.direct_rendering:
        return "the native code has no direct rendering"
    if next(render_pass.parameters()).dtype != torch.float32:
        return "the native code is in float32"
    try:
        compiled_code()
    except CompilerError as error:
        return str(error)
    return None


class NativePass(nn.Module):
    """A pass that computes what `RenderPass` does, and its gradients, with its weights, in float32."""

    def __init__(self, render_pass: RenderPass, threads: int = 1):
        super().__init__()
        self.render_pass = render_pass
        self.threads = threads  # that share the rays

    def forward(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples, *, mask: Mask | None
    ) -> PassPrediction:
        """Predict as `RenderPass`, which does it where not everything is float32 on the CPU."""
        read = (features.maps, features.views.images, features.views.w2c, rays.directions, samples.depths)
        if any(part.dtype != torch.float32 or part.device.type != "cpu" for part in read) or not len(rays.directions):
            return self.render_pass(features, rays, samples, mask=mask)
        zeros = self.render_pass.aggregation.masks_by_zeros
        read = PassInputs.of(features.views, rays, samples, None if mask is None else mask_bits(mask), zeros)
        threads = max(1, min(self.threads, len(rays.directions), MOST_OF_MAPS // features.maps.numel()))
        weights = laid_out(self.render_pass, masked=mask is not None)
        computed = Native.apply(weights, features.maps, read, threads)
        _, colours, seen_by, scene_features, density, hits, rgb, depth = computed
        points = PointPrediction(scene_features, density, colours)
        return PassPrediction(seen_by, points, None, Composited(rgb, depth, hits))

    @property
    def code(self) -> str:
        """Name what was compiled: another compiler rounds otherwise."""
        return Path(compiled_code()._name).stem


class PassInputs(NamedTuple):
    """What the code reads beside maps and weights, as it lies in memory there."""

    views: Views
    images: Float[Tensor, "view height width 3"]
    cameras: Float[Tensor, "view 32"]
    encodings: Float[Tensor, "place 16"]
    of_rays: list[Tensor]
    of_samples: list[Tensor | None]
    zeros: bool

    @classmethod
    def of(
        cls, views: Views, rays: QueryRays, samples: RaySamples, masks: Int64[Tensor, "ray sample"] | None, zeros: bool
    ) -> "PassInputs":
        """Lay everything out."""
        lengths = (samples.depths, samples.half_before, samples.half_behind, samples.weight, samples.index, masks)
        of_samples = [None if part is None else part.contiguous() for part in lengths]
        of_rays = [part.contiguous() for part in (rays.origin, rays.directions)]
        images, cameras = channels_last(views.images), cameras_of(views)
        return cls(views, images, cameras, encodings(images.device), of_rays, of_samples, zeros)

    @property
    def shape(self) -> torch.Size:
        return self.of_samples[0].shape

    def structures(self, maps: Float[Tensor, "view _ _ channel"]) -> tuple[ctypes.Array, ctypes.Array]:
        """Return the C++ structures `Views` and `Samples`."""
        height, width = self.views.image_size
        sizes = (len(self.views), width, height, maps.shape[2], maps.shape[1])
        of_views = _structure(self.images, maps, self.cameras, *sizes)
        return of_views, _structure(*self.of_rays, *self.of_samples, *self.shape, int(self.zeros))


class Native(torch.autograd.Function):
    """The pass and its backward pass. What is kept between them is 20 numbers a sample, none a view."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, maps: Tensor, read: PassInputs, threads: int) -> tuple[Tensor, ...]:
        rays, samples = read.shape
        maps = channels_last(maps)
        sizes = [(rays, samples, 16), (rays, samples, 3), (rays, samples), (rays, samples, 16), (rays, samples)]
        made = [torch.empty(size) for size in (*sizes, (rays, samples), (rays, 3), (rays,))]
        made[2] = torch.empty(rays, samples, dtype=torch.int64)
        compiled_code().render_pass(
            _at(weights), *read.structures(maps), _at(read.encodings), _structure(*made), ctypes.c_int64(threads)
        )
        ctx.save_for_backward(weights, maps, *made[:3])
        ctx.read, ctx.threads = read, threads
        ctx.mark_non_differentiable(made[0], made[2])
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor | None, ...]:
        weights, maps, *made = ctx.saved_tensors
        _, of_colours, _, of_features, of_density, of_hits, of_rgb, of_depth = (
            None if part is None else part.contiguous() for part in of_outputs
        )
        of_weights = torch.zeros(ctx.threads, len(weights))
        of_maps = torch.zeros(ctx.threads, *maps.shape)
        given = (of_features, of_density, of_colours, of_hits, of_rgb, of_depth)
        compiled_code().render_pass_gradients(
            _at(weights), *ctx.read.structures(maps), _at(ctx.read.encodings), _structure(*made, *[None] * 5),
            _structure(*given), _at(of_weights), ctypes.c_int64(len(weights)), _at(of_maps),
            ctypes.c_int64(ctx.threads),
        )  # fmt: skip
        return of_weights.sum(dim=0), of_maps.sum(dim=0).permute(0, 3, 1, 2), None, None


def laid_out(render_pass: nn.Module, *, masked: bool) -> Float[Tensor, "number"]:
    """Return all layers' weights in one row, differentiable: each matrix input by input, its biases behind it.

    The mask token has no gradient, not even zeros, where nothing is `masked`: as in the plain pass.
    """
    parts = []
    for name in LAYERS:
        if name == TOKEN:
            token = render_pass.get_parameter(name)
            parts.append(token if masked else token.detach())
            continue
        layer = render_pass.get_submodule(name)
        parts += [parameter.t().reshape(-1) for parameter in (layer.weight, layer.bias) if parameter is not None]
    return torch.cat(parts)


def _at(part: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(part.data_ptr())


def _structure(*members: Tensor | int | None) -> ctypes.Array:
    """Return what C++ has as a structure of pointers, then of 64-bit numbers; None is a null pointer."""
    words = [member.data_ptr() if isinstance(member, Tensor) else member or 0 for member in members]
    return (ctypes.c_int64 * len(words))(*words)
