"""A pass in two kernels: what each sample is from all views, and what each ray is from all samples."""

import os
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from maskrf_core.model.aggregators.neuray import AggregationNetwork
from maskrf_core.model.fast.kernel_launches import (
    PassInputs,
    Products,
    mask_bits,
    points_backward,
    points_forward,
    rays_backward,
    rays_forward,
)
from maskrf_core.model.fast.kernel_weights import POINT_LAYERS, RAY_LAYERS, packed
from maskrf_core.model.fast.pass_variants import in_bfloat16
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures
from maskrf_core.model.renderer import PassPrediction, RenderPass
from maskrf_core.model.rendering import Composited, Mask, PointPrediction
from maskrf_core.model.sampling import RaySamples
from maskrf_core.support.errors import SettingsError, first_line
from maskrf_core.support.progress import say_once

MOST_VIEWS = 62  # a bit of a 64-bit number says of each whether it is masked
MOST_SAMPLES = 256  # of a ray: the attention among them stays on the chip
MOST_POINTS = 2**26  # of a call: places in memory are numbers of 32 bits
GPU = "cuda"
SMALLEST_ARCHITECTURE = (8, 0)  # of NVIDIA's, that has units for TF32 and bfloat16


def why_not(render_pass: nn.Module, device: torch.device) -> str | None:
    """Say why the kernels cannot compute a pass on this device; None where they can."""
    if not isinstance(render_pass, RenderPass) or type(render_pass.aggregation) is not AggregationNetwork:
        return "the kernels are those of NeuRay's aggregation"
    if render_pass.direct_rendering:
        return "the kernels have no direct rendering"
    if find_spec("triton") is None:
        return "the package triton is not installed"
    if interpreted():
        return None
    if device.type != GPU:
        return "the kernels are for a GPU"
    if torch.version.cuda is None or torch.cuda.get_device_capability(device) < SMALLEST_ARCHITECTURE:
        return "the GPU is not one of NVIDIA's since 2020"
    return None


def interpreted() -> bool:
    """Tell whether Triton is to interpret kernels on the CPU, for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


class KernelPass(nn.Module):
    """A pass that computes what `RenderPass` does, with its weights, in two kernels."""

    def __init__(self, render_pass: RenderPass, products: Products):
        super().__init__()
        self.render_pass = render_pass
        self.plain = in_bfloat16(render_pass) if products == "bf16" else render_pass
        self.products: Products = "ieee" if interpreted() else products  # the interpreter knows no others
        self.kept: tuple[object, tuple[Tensor, Tensor]] | None = None  # laid-out weights, and of which these are
        self.failed: str | None = None  # why, where they have

    def forward(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples, *, mask: Mask | None
    ) -> PassPrediction:
        """Predict as `RenderPass`."""
        shape = samples.depths.shape
        too_many = len(features.views) > MOST_VIEWS or shape[1] > MOST_SAMPLES or shape.numel() > MOST_POINTS
        if too_many:
            say_once("networks of samples: plain pass where there are too many views or samples for the kernels")
        if too_many or self.failed is not None:
            return self.plain(features, rays, samples, mask=mask)
        try:
            return self._by_kernels(features, rays, samples, mask)
        except Exception as error:
            if interpreted():
                raise
            self.failed = first_line(error)  # a GPU with less room, say: the same numbers, later
            say_once(f"networks of samples: plain pass from here on, because the kernels failed ({self.failed})")
            return self.plain(features, rays, samples, mask=mask)

    def _by_kernels(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples, mask: Mask | None
    ) -> PassPrediction:
        bits, zeros = None if mask is None else mask_bits(mask), self.render_pass.aggregation.masks_by_zeros
        inputs = PassInputs(features.views, rays, samples, bits, zeros, self.products, interpreted())
        scene_features, density, colours, rgb, depth, hits, seen_by = Kernels.apply(
            *self._weights(), features.maps, inputs
        )
        points = PointPrediction(scene_features, density, colours)
        return PassPrediction(seen_by, points, None, Composited(rgb, depth, hits))

    def _weights(self) -> tuple[Tensor, Tensor]:
        """Return the weights as the kernels read them; without gradients, laid out anew where they changed since."""
        if torch.is_grad_enabled():
            return packed(self.render_pass, POINT_LAYERS), packed(self.render_pass, RAY_LAYERS)
        state = [(parameter.data_ptr(), parameter._version) for parameter in self.render_pass.parameters()]
        if self.kept is None or self.kept[0] != state:
            self.kept = (state, (packed(self.render_pass, POINT_LAYERS), packed(self.render_pass, RAY_LAYERS)))
        return self.kept[1]


class Kernels(torch.autograd.Function):
    """Both kernels, and their backward passes, between which nothing of a sample is kept: it is computed again."""

    @staticmethod
    def forward(ctx: Any, of_points: Tensor, of_rays: Tensor, maps: Tensor, inputs: PassInputs) -> tuple[Tensor, ...]:
        kind = torch.bfloat16 if inputs.products == "bf16" else torch.float32
        of_points, of_rays = of_points.to(kind), of_rays.to(kind)
        geometry, colours, seen_by = points_forward(inputs, maps, of_points)
        features, density, *composited = rays_forward(inputs, of_rays, geometry, colours, seen_by)
        ctx.save_for_backward(of_points, of_rays, maps)
        ctx.inputs = inputs
        ctx.mark_non_differentiable(seen_by)
        return features, density, colours, *composited, seen_by

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor | None, ...]:
        of_points, of_rays, maps = ctx.saved_tensors
        of_features, of_density, of_own_colours, *of_composited, _ = of_outputs
        try:
            again = points_forward(ctx.inputs, maps, of_points)
            given = (of_features, of_density, *of_composited)
            by_rays, of_geometry, of_colours = rays_backward(ctx.inputs, of_rays, *again, given)
            by_points, of_maps = points_backward(ctx.inputs, maps, of_points, of_geometry, of_colours + of_own_colours)
        except Exception as error:
            raise SettingsError(
                f"the kernels' backward pass failed here ({first_line(error)}). Set hardware.twin=true: the plain pass "
                "computes the same."
            ) from error
        return by_points, by_rays, of_maps.to(maps.dtype), None
