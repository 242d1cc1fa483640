"""A pass in C++ for a CPU's core: a block of samples stays in its cache through all layers and views."""

import ctypes

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskrf_core.model.aggregators.neuray import AggregationNetwork, sample_encoding
from maskrf_core.model.fast.kernel_launches import cameras_of, channels_last
from maskrf_core.model.fast.native_library import CompilerError, library
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures
from maskrf_core.model.renderer import PassPrediction, RenderPass
from maskrf_core.model.rendering import Composited, Mask, PointPrediction
from maskrf_core.model.sampling import RaySamples

OF_VIEWS = ("direction", "ray_embedding", "visibility_weight", "base", "residual_and_visibility", "visibility")
LAYERS = (
    *(f"distribution_decoder.{head}.{place}" for head in ("mean", "sharpness", "mixing_weight") for place in (0, 2, 4)),
    *(f"aggregation.{network}.{place}" for network in (*OF_VIEWS, "geometry") for place in (0, 2)),
    *(f"aggregation.blending.{place}" for place in (0, 2, 4)),
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
        library()
    except CompilerError as error:
        return str(error)
    return None


class NativePass(nn.Module):
    """A pass that computes what `RenderPass` does, with its weights, in float32; what needs gradients is left to it."""

    def __init__(self, render_pass: RenderPass):
        super().__init__()
        self.render_pass = render_pass
        self.own = tuple(render_pass.parameters())
        self.kept: tuple[object, Tensor] | None = None  # laid-out weights, and of which these are

    def forward(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples, *, mask: Mask | None
    ) -> PassPrediction:
        """Predict as `RenderPass`."""
        shape, views = samples.depths.shape, features.views
        if mask is not None or torch.is_grad_enabled() or shape.numel() == 0:
            return self.render_pass(features, rays, samples, mask=mask)
        geometry, scene_features = torch.empty(2, *shape, 16)
        density, hits = torch.empty(2, *shape)
        colours, rgb, depth = torch.empty(*shape, 3), torch.empty(shape[0], 3), torch.empty(shape[0])
        seen_by = torch.empty(shape, dtype=torch.int64)
        # Everything that the call reads has a name here: it must live until the call returns.
        weights, maps, images, cameras = (
            self._weights(), channels_last(features.maps), channels_last(views.images), cameras_of(views)
        )  # fmt: skip
        of_rays = [part.contiguous() for part in (rays.origin, rays.directions)]
        of_samples = [part.contiguous() for part in (samples.depths, samples.half_before, samples.half_behind)]
        index, weight = (None if part is None else part.contiguous() for part in (samples.index, samples.weight))
        among = shape[1] if index is None else int(index.max()) + 1
        encodings = sample_encoding(geometry.new_empty(1, among, 16))
        height, width = views.image_size
        library().render_pass(
            _at(weights),
            _structure(images, maps, cameras, len(views), width, height, *reversed(maps.shape[1:3])),
            _structure(*of_rays, *of_samples, *shape),
            *map(_at, (encodings, index, weight)),
            *map(_at, (geometry, colours, seen_by)),
            _structure(scene_features, density, hits, rgb, depth),
        )
        points = PointPrediction(scene_features, density, colours)
        return PassPrediction(seen_by, points, None, Composited(rgb, depth, hits))

    def _weights(self) -> Float[Tensor, "number"]:
        """Return the weights as the code reads them, laid out anew where they changed since."""
        state = [(parameter.data_ptr(), parameter._version) for parameter in self.own]
        if self.kept is None or self.kept[0] != state:
            self.kept = (state, laid_out(self.render_pass))
        return self.kept[1]


def laid_out(render_pass: nn.Module) -> Float[Tensor, "number"]:
    """Return all layers' weights in one row: each matrix input by input, its biases behind it."""
    parts = []
    for name in LAYERS:
        layer = render_pass.get_submodule(name)
        parts += [parameter.t().reshape(-1) for parameter in (layer.weight, layer.bias) if parameter is not None]
    return torch.cat(parts)


def _at(part: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if part is None else part.data_ptr())


def _structure(*members: Tensor | int) -> ctypes.Array:
    """Return what C++ has as a structure of pointers, then of 64-bit numbers."""
    words = [member.data_ptr() if isinstance(member, Tensor) else member for member in members]
    return (ctypes.c_int64 * len(words))(*words)
