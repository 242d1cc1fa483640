"""A trial of the kernels on a GPU: do they run there, are they right, are they faster than the plain pass?

`kernel_trial` runs it as a process, `python -m maskrf_core.model.fast.kernel_check cuda:0 bf16 --training`.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model.fast.kernel_pass import KernelPass
from maskrf_core.model.fast.kernel_trial import Question, Verdict
from maskrf_core.model.fast.pass_variants import CompiledPass, in_bfloat16
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, rays_of
from maskrf_core.model.renderer import PassPrediction, RenderPass
from maskrf_core.model.rendering import Mask, volume_render
from maskrf_core.model.sampling import RaySamples, coarse_depths
from maskrf_core.support.errors import first_line
from maskrf_core.support.machine import set_tensor_float32

NEAR, FAR, DISTANCE = 2.0, 6.0, 4.0
RELATIVE_ERROR = 1e-3  # that counts as right beside ROUNDING times that of the plain pass
ROUNDING = 4
GRADIENT = "gradient of "
ONLY_ROUNDING = 1e-5  # of the largest gradient: what one may be off by in any case, where it is 0 but for rounding
TINY = 1e-30


def tried(
    question: Question, device: torch.device, *, views: int = 8, rays: int = 512, samples: int = 96, side: int = 256
) -> Verdict:
    """Compare the kernels with the plain pass here and now, on pictures of `side` pixels, and time both."""
    computed_by_kernels = False
    try:
        plain = _render_pass().to(device)
        inputs = _inputs(device, views, rays, samples, side)
        computed = partial(_computed, plain, question.training, *inputs)
        rounded = in_bfloat16(plain) if question.products == "bf16" else plain
        other = CompiledPass(rounded, rays) if question.compiled else rounded
        exact, expected = computed(plain), computed(other)
        seconds = _seconds(computed, other)
        kernels, computed_by_kernels = KernelPass(plain, question.products), True
        found = computed(kernels)
        if kernels.failed is None:
            if (wrong := _wrong(found, exact, expected)) is not None:
                return Verdict(f"they were wrong: {wrong}")
            times = seconds / _seconds(computed, kernels)
            return Verdict(None if times > 1 else f"they were slower: {times:.2f} times as fast", times)
        said = kernels.failed
    except Exception as error:
        said = first_line(error)
    # Memory is short because of others. A GPU tells of a kernel's errors late: wherever it is waited for.
    return Verdict(f"they failed: {said}", lasting=computed_by_kernels and "out of memory" not in said)


def _seconds(computed: Callable[[nn.Module], object], by: nn.Module) -> float:
    return Timer("computed(by)", globals={"computed": computed, "by": by}).blocked_autorange(min_run_time=1).median


def _wrong(found: dict[str, Tensor], exact: dict[str, Tensor], rounded: dict[str, Tensor]) -> str | None:
    """Name the first part that differs from the exact one by more than rounding explains, as what is no number does.

    How much that is tells the plain pass in as many bits: by its error in this part, or in most parts.
    """
    lengths = {name: float(part.norm()) for name, part in exact.items()}
    largest = max((length for name, length in lengths.items() if name.startswith(GRADIENT)), default=0.0)
    explained = {name: float((rounded[name] - part).norm()) / max(lengths[name], TINY) for name, part in exact.items()}
    usual = median(explained.values())
    for name, part in exact.items():
        error, length = float((found[name] - part).norm()), lengths[name]
        allowed = length * (RELATIVE_ERROR + ROUNDING * max(explained[name], usual))
        if not error <= allowed + ONLY_ROUNDING * largest * name.startswith(GRADIENT):
            return f"{name} off by {error / max(length, TINY):.1e} of its length"
    return None


def _render_pass() -> RenderPass:
    """Return a pass of random weights that spread activations widely; its samples are opaque enough to count."""
    made = RenderPass()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
        made.aggregation.density[2].bias += 0.5
    return made


def _inputs(
    device: torch.device, views: int, rays: int, samples: int, side: int
) -> tuple[ReferenceFeatures, QueryRays, RaySamples, Mask]:
    """Return random pictures and maps of cameras on an arc that look at one point, rays between these, and a mask."""
    angles = torch.linspace(-0.5, 0.5, views + 1)
    sine, cosine, zero, one = angles.sin(), angles.cos(), 0 * angles, 0 * angles + 1
    rows = (cosine, zero, sine, zero), (zero, one, zero, zero), (-sine, zero, cosine, DISTANCE * one)
    w2c = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    K = torch.tensor([[side, 0, side / 2], [0, side, side / 2], [0, 0, 1.0]]).expand(views + 1, 3, 3)
    ranges = torch.tensor([NEAR, FAR]).expand(views + 1, 2)
    every = Views(torch.rand(views + 1, 3, side, side), K, w2c, ranges).to(device)
    middle = torch.arange(views + 1, device=device) == views // 2
    query, references = (every.changed(lambda part, some=some: part[some]) for some in (middle, ~middle))
    maps = torch.randn(2, views, 32, side // 4, side // 4).to(device)
    depths = (coarse_depths(ranges[0], rays, samples) + 0.02 * torch.rand(rays, samples)).sort(dim=1).values
    return (
        ReferenceFeatures.of(references, *maps),
        rays_of(query, side * torch.rand(rays, 2).to(device)),
        RaySamples.at(depths.to(device), query.depth_range[0]),
        (torch.rand(views, rays, samples) < 0.3).to(device),
    )


def _computed(
    plain: RenderPass,
    training: bool,
    features: ReferenceFeatures,
    rays: QueryRays,
    samples: RaySamples,
    mask: Mask,
    by: nn.Module,
) -> dict[str, Tensor]:
    """Return all that a pass predicts, composited too; in training masked, with what weights and maps have of it."""
    if not training:
        with torch.inference_mode():
            return _parts(by(features, rays, samples, mask=None), samples)
    plain.zero_grad()
    maps = features.maps.detach().clone(memory_format=torch.channels_last).requires_grad_()
    parts = _parts(by(features._replace(maps=maps), rays, samples, mask=mask), samples)
    sum(part.sin().sum() for part in parts.values()).backward()
    gradients = {name: weight.grad for name, weight in plain.named_parameters() if weight.grad is not None}
    found = {GRADIENT + name: gradient.clone() for name, gradient in (gradients | {"maps": maps.grad}).items()}
    return {name: part.detach() for name, part in parts.items()} | found


def _parts(predicted: PassPrediction, samples: RaySamples) -> dict[str, Tensor]:
    seen_by, points, _, composited = predicted
    whole = composited or volume_render(points, samples.depths, seen_by.sum(dim=1) > 0)
    of_samples = {"features": points.scene_features, "densities": points.density, "colours of samples": points.colours}
    return of_samples | {"colours": whole.rgb, "depths": whole.depth, "hit probabilities": whole.hit_probability}


def main() -> None:
    """Make a trial, and print what it found as JSON in the last line."""
    parser = argparse.ArgumentParser(description="Try the kernels on a GPU.")
    parser.add_argument("device", type=torch.device)
    parser.add_argument("products")
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--compiled", action="store_true")
    asked = parser.parse_args()
    if asked.device.type == "cuda":
        torch.cuda.set_device(asked.device)  # Triton starts kernels on the current one
    set_tensor_float32(False)
    torch.manual_seed(0)
    print(json.dumps(tried(Question(asked.products, asked.training, asked.compiled), asked.device)._asdict()))


if __name__ == "__main__":
    main()
