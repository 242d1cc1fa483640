"""A trial of the kernels on a GPU, once, in a process of their own: do they run there, are they right, are they faster?

What goes wrong in a kernel can end the process that called it. What a trial found is kept in the user's cache.
"""

import argparse
import fcntl
import json
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model.fast.kernel_launches import Products
from maskrf_core.model.fast.kernel_pass import KernelPass, first_line
from maskrf_core.model.fast.pass_variants import CompiledPass, in_bfloat16
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, rays_of
from maskrf_core.model.renderer import RenderPass
from maskrf_core.model.rendering import Mask, volume_render
from maskrf_core.model.sampling import RaySamples, coarse_depths
from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.digests import digest
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.file_locks import acquired
from maskrf_core.support.paths import private_folder

SECONDS = 900.0  # after which a trial has failed; compiling for gradients takes minutes
NEAR, FAR, DISTANCE = 2.0, 6.0, 4.0
RELATIVE_ERROR = 1e-3  # that counts as right beside ROUNDING times that of the plain pass in as many bits
ROUNDING = 4
ONLY_ROUNDING = (
    1e-5  # of the largest gradient: what a gradient may be off by in any case, where it is 0 but for rounding
)


class Question(NamedTuple):
    """What the kernels would replace."""

    products: Products
    training: bool  # its gradients, too
    compiled: bool  # it would be compiled


class Verdict(NamedTuple):
    """What a trial found."""

    reason: str | None  # why the kernels are not to be used; None: they are
    times_as_fast: float | None = None
    lasting: bool = True  # False: it says nothing of the kernels, which are tried again


def verdict_on(question: Question, device: torch.device) -> Verdict:
    """Return what a trial on this GPU found: before, or now. Other processes that ask meanwhile wait for it."""
    kept = private_folder("kernels") / f"{_key(question, device)}.json"
    with kept.with_suffix(".lock").open("w", encoding="utf-8") as lock:
        with suppress(OSError):  # where a file system has no locks, each process makes a trial
            acquired(lock, fcntl.LOCK_EX, 2 * SECONDS)
        with suppress(OSError, ValueError, TypeError):
            return Verdict(**json.loads(kept.read_text(encoding="utf-8")))
        section = "hardware" if question.training else "rendering"
        print(f"networks of samples: first a trial of the kernels, once; {section}.twin=true does without", flush=True)
        found = _in_a_process(question, device)
        if found.lasting:
            with suppress(OSError):  # a full disk: once more, then
                write_json(kept, found._asdict())
        return found


def _key(question: Question, device: torch.device) -> str:
    """Name all that a verdict depends on."""
    told = [*question, torch.cuda.get_device_name(device), torch.__version__, torch.version.cuda]
    with suppress(PackageNotFoundError):
        told.append(version("triton"))
    return digest(told + [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))])[:32]


def _in_a_process(question: Question, device: torch.device) -> Verdict:
    options = ["--training"] * question.training + ["--compiled"] * question.compiled
    command = [sys.executable, "-m", __name__, str(device), question.products, *options]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return Verdict(f"they were not ready after {SECONDS / 60:.0f} minutes")
    if done.returncode < 0:
        return Verdict(f"their process was ended by {signal.Signals(-done.returncode).name}")
    try:
        return Verdict(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        said = done.stderr.strip().splitlines() or ["without a word"]
        return Verdict(f"their trial failed: {said[-1]}", lasting=False)


def tried(question: Question, device: torch.device, *, views: int, rays: int, samples: int, side: int) -> Verdict:
    """Compare the kernels with the plain pass here and now, on pictures of `side` pixels, and time both."""
    plain = _render_pass().to(device)
    computed = partial(
        _gradients if question.training else _predicted, plain, *_inputs(device, views, rays, samples, side)
    )
    try:
        rounded = in_bfloat16(plain) if question.products == "bf16" else plain
        other = CompiledPass(rounded, rays) if question.compiled else rounded
        exact, expected = computed(plain), computed(other)
    except (RuntimeError, SettingsError) as error:  # no room beside others, say
        return Verdict(f"a trial was not possible: {first_line(error)}", lasting=False)
    kernels = KernelPass(plain, question.products)
    try:
        found = computed(kernels)
    except Exception as error:
        return Verdict(f"they failed: {first_line(error)}")
    if kernels.failed:
        return Verdict(f"they failed: {kernels.failed}")
    if (wrong := _wrong(found, exact, expected)) is not None:
        return Verdict(f"they were wrong: {wrong}")
    timers = (Timer("computed(it)", globals={"computed": computed, "it": it}) for it in (other, kernels))
    seconds = [median(timer.blocked_autorange(min_run_time=1).times) for timer in timers]
    times = seconds[0] / seconds[1]
    return Verdict(None if times > 1 else f"they were slower: {times:.2f} times as fast", times)


def _wrong(found: dict[str, Tensor], exact: dict[str, Tensor], rounded: dict[str, Tensor]) -> str | None:
    """Name the first part that differs from the exact one by more than rounding explains, as what is no number does."""
    largest = max((float(part.norm()) for name, part in exact.items() if name.startswith(GRADIENT)), default=0.0)
    for name, part in exact.items():
        error, of_rounded, length = (float(of.norm()) for of in (found[name] - part, rounded[name] - part, part))
        allowed = ROUNDING * of_rounded + RELATIVE_ERROR * length
        if not error <= allowed + ONLY_ROUNDING * largest * name.startswith(GRADIENT):
            return f"{name} off by {error / max(length, 1e-30):.1e} of its length"
    return None


GRADIENT = "gradient of "


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


def _predicted(
    _plain: RenderPass,
    features: ReferenceFeatures,
    rays: QueryRays,
    samples: RaySamples,
    mask: Mask,
    computed: nn.Module,
) -> dict[str, Tensor]:
    """Return all that a pass predicts, composited too."""
    with torch.inference_mode():
        return _parts(features, rays, samples, None, computed)


def _parts(
    features: ReferenceFeatures, rays: QueryRays, samples: RaySamples, mask: Mask | None, computed: nn.Module
) -> dict[str, Tensor]:
    seen_by, points, _, composited = computed(features, rays, samples, mask=mask)
    whole = composited or volume_render(points, samples.depths, seen_by.sum(dim=1) > 0)
    of_rays = {"colours": whole.rgb, "depths": whole.depth, "hit probabilities": whole.hit_probability}
    return {
        "features": points.scene_features,
        "densities": points.density,
        "colours of samples": points.colours,
    } | of_rays


def _gradients(
    plain: RenderPass,
    features: ReferenceFeatures,
    rays: QueryRays,
    samples: RaySamples,
    mask: Mask,
    computed: nn.Module,
) -> dict[str, Tensor]:
    """Return it with the gradients of a loss of all of it, of weights and maps."""
    plain.zero_grad()
    maps = features.maps.detach().clone(memory_format=torch.channels_last).requires_grad_()
    parts = _parts(features._replace(maps=maps), rays, samples, mask, computed)
    sum(part.sin().sum() for part in parts.values()).backward()
    gradients = {name: weight.grad for name, weight in plain.named_parameters() if weight.grad is not None}
    found = {GRADIENT + name: gradient.clone() for name, gradient in (gradients | {"maps": maps.grad}).items()}
    return {name: part.detach() for name, part in parts.items()} | found


def main() -> None:
    """Make a trial, and print what it found as JSON in the last line."""
    parser = argparse.ArgumentParser(description="Try the kernels on a GPU.")
    parser.add_argument("device", type=torch.device)
    parser.add_argument("products")
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--compiled", action="store_true")
    for name, usual in (("views", 8), ("rays", 512), ("samples", 96), ("side", 256)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    asked = parser.parse_args()
    torch.manual_seed(0)
    question = Question(asked.products, asked.training, asked.compiled)
    size = {name: getattr(asked, name) for name in ("views", "rays", "samples", "side")}
    print(json.dumps(tried(question, asked.device, **size)._asdict()))


if __name__ == "__main__":
    main()
