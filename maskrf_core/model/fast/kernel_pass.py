"""A pass in two kernels: what each sample is from all views, and what each ray is from all samples."""

import os
from functools import lru_cache
from importlib.util import find_spec
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from maskrf_core.cameras import camera_centres
from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model.aggregators.neuray import AggregationNetwork, sample_encoding
from maskrf_core.model.fast.kernel_weights import POINT_LAYERS, RAY_LAYERS, packed
from maskrf_core.model.fast.pass_variants import in_bfloat16
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures
from maskrf_core.model.renderer import Composited, PassPrediction, RenderPass
from maskrf_core.model.rendering import Mask, PointPrediction
from maskrf_core.model.sampling import RaySamples

Products = Literal["ieee", "tf32", "tf32x3", "bf16"]
"""What kernels multiply in. tf32x3 is as exact as float32, on matrix units."""

MOST_VIEWS = 62  # a bit of a 64-bit number says of each whether it is masked
MOST_SAMPLES = 512  # of a ray: the attention among them stays on the chip
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
    """A pass that computes what `RenderPass` does, with its weights, in two kernels.

    Where gradients are wanted, the plain pass computes it.
    """

    def __init__(self, render_pass: RenderPass, products: Products):
        super().__init__()
        self.render_pass = render_pass
        self.plain = in_bfloat16(render_pass) if products == "bf16" else render_pass
        self.products: Products = "ieee" if interpreted() else products  # the interpreter knows no others
        self.kept: tuple[object, tuple[Tensor, Tensor]] | None = None  # laid-out weights, and of which these are
        self.failed = False

    def forward(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples, *, mask: Mask | None
    ) -> PassPrediction:
        """Predict as `RenderPass`."""
        too_many = len(features.views) > MOST_VIEWS or samples.depths.shape[1] > MOST_SAMPLES
        if too_many or torch.is_grad_enabled() or self.failed:
            return self.plain(features, rays, samples, mask=mask)
        try:
            return self._by_kernels(features, rays, samples, mask)
        except Exception as error:
            if interpreted():
                raise
            self.failed = True  # a compiler of another version, or a GPU with less room: the same numbers, later
            print(f"networks of samples: plain pass from here on, because the kernels failed ({first_line(error)})")
            return self.plain(features, rays, samples, mask=mask)

    def _by_kernels(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples, mask: Mask | None
    ) -> PassPrediction:
        of_points, of_rays = self._weights()
        geometry, colours, seen_by = of_samples(
            of_points, features, rays, samples, mask, self.products, zeros=self.render_pass.aggregation.masks_by_zeros
        )
        return of_whole_rays(of_rays, geometry, colours, seen_by, samples, self.products)

    def _weights(self) -> tuple[Tensor, Tensor]:
        """Return the weights as the kernels read them, laid out anew where they changed since."""
        state = [(parameter.data_ptr(), parameter._version) for parameter in self.render_pass.parameters()]
        if self.kept is None or self.kept[0] != state:
            kind = torch.bfloat16 if self.products == "bf16" else torch.float32
            laid_out = tuple(packed(self.render_pass, layers).to(kind) for layers in (POINT_LAYERS, RAY_LAYERS))
            self.kept = (state, laid_out)
        return self.kept[1]


def first_line(error: Exception) -> str:
    """Return what an error says first, or its kind."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def cameras_of(views: Views) -> Float[Tensor, "view 32"]:
    """Lay out the cameras as the kernels read them: w2c, K, centre, near, far."""
    parts = (views.w2c.flatten(1), views.K.flatten(1), camera_centres(views.w2c), views.depth_range)
    return torch.nn.functional.pad(torch.cat(parts, dim=1), (0, 6)).contiguous()


def mask_bits(mask: Mask) -> Int64[Tensor, "ray sample"]:
    """Return a bit a view and sample: bit v is set where view v is masked."""
    shift = torch.arange(len(mask), device=mask.device)[:, None, None]
    return (mask.long() << shift).sum(dim=0)


def of_samples(
    weights: Float[Tensor, "number"],
    features: ReferenceFeatures,
    rays: QueryRays,
    samples: RaySamples,
    mask: Mask | None,
    products: Products,
    *,
    zeros: bool,
) -> tuple[Float[Tensor, "ray sample 16"], Float[Tensor, "ray sample 3"], Int64[Tensor, "ray sample"]]:
    """Return each sample's geometry feature and blended colour, and how many views it projects into."""
    from maskrf_core.model.fast.point_kernel import point_kernel

    shape, device = samples.depths.shape, samples.depths.device
    geometry, colours = (torch.empty(*shape, channels, device=device) for channels in (16, 3))
    seen_by = torch.empty(shape, dtype=torch.int64, device=device)
    views = features.views
    height, width = views.image_size
    block = 16 if interpreted() else 64
    point_kernel[(-(-shape.numel() // block),)](
        weights, 0, *(maps.permute(0, 2, 3, 1).contiguous() for maps in (views.images, features.maps)),
        cameras_of(views), rays.origin.contiguous(), rays.directions.contiguous(),
        *(part.contiguous() for part in (samples.depths, samples.half_before, samples.half_behind)),
        seen_by if mask is None else mask_bits(mask), geometry, colours, seen_by,
        shape.numel(), len(views), shape[1], width, height, *reversed(features.maps.shape[-2:]),
        MASKED=mask is not None, ZEROS=zeros, PRECISION=products, BLOCK=block, num_warps=4,
        num_stages=1,
    )  # fmt: skip
    return geometry, colours, seen_by


def of_whole_rays(
    weights: Float[Tensor, "number"],
    geometry: Float[Tensor, "ray sample 16"],
    colours: Float[Tensor, "ray sample 3"],
    seen_by: Int64[Tensor, "ray sample"],
    samples: RaySamples,
    products: Products,
) -> PassPrediction:
    """Return what the samples are beside each other, composited."""
    from maskrf_core.model.fast.ray_kernel import ray_kernel

    count, number = samples.depths.shape
    features = torch.empty_like(geometry)
    density, hits = torch.empty_like(samples.depths.contiguous()), torch.empty_like(samples.depths.contiguous())
    rgb, depth = colours.new_empty(count, 3), colours.new_empty(count)
    indexed = samples.index is not None
    place = samples.index.contiguous() if indexed else seen_by
    weight = samples.weight.contiguous() if indexed else density
    room = max(16, 1 << (number - 1).bit_length())
    ray_kernel[(count,)](
        weights, geometry, encodings(geometry.device), place, weight, seen_by, colours, samples.depths.contiguous(),
        features, density, rgb, depth, hits, number,
        INDEXED=indexed, PRECISION=products, S=room, num_warps=8 if room > 64 else 4,
    )  # fmt: skip
    return PassPrediction(seen_by, PointPrediction(features, density, colours), None, Composited(rgb, depth, hits))


@lru_cache(maxsize=4)
def encodings(device: torch.device) -> Float[Tensor, "place 16"]:
    """Return the encodings of all places that a sample can have on its ray."""
    with torch.inference_mode(False):
        return sample_encoding(torch.empty(1, 2048, 16, device=device)).contiguous()
