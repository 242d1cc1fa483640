"""What a GPU does in a few minutes (`make bench-gpu`): one prepared run, for a machine that is at hand for no longer.

Rays at 400×304, whole pictures of 1008×756 (1008×768, padded), masked training steps of 512 and 4,096 rays: time,
memory, and how many kernels are at work for how long; each against the plain pass in float32, in the same process and
in turn. The ceilings are products of matrices and copies. Each part is written as soon as it is measured, and a run
that was cut off goes on where it ended. Views and weights are made by formula: nothing has to be there but torch,
triton and what settings, model and losses import.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.losses import with_total
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import RenderingSettings
from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.machine import set_tensor_float32
from maskrf_core.support.paths import RUNS
from maskrf_core.training.objective import Objective
from maskrf_core.training.optimiser import adam
from maskrf_core.training.recorded_steps import RecordedSteps, recorded_steps
from maskrf_core.training.schedules import masking_schedule
from maskrf_core.workbook.experiments.measurements import in_turn, made_here, matrix_products
from tests.benchmarks.gpu_results import Case, read, table
from tests.model.tiny import tiny_batch

VIEWS, SIZE, PICTURE = 8, (400, 304), (1008, 768)
RAYS, RAYS_PER_CHUNK, STEPS_OF = 65_536, 16_384, (512, 4096)
MATRIX_SIDE, COPIED = 8192, 2**30  # rows; floats
BUDGET = 360  # seconds, after which no part is begun
PLAIN = {"twin": True}
KERNELS = {"twin": False}
WAYS: dict[str, dict[str, Any]] = {
    "kernels, bfloat16": KERNELS | {"precision": "bf16-mixed"},
    "plain, bfloat16": PLAIN | {"precision": "bf16-mixed"},
    "kernels, float32": KERNELS,
}


def batch_of(size: tuple[int, int], rays: int, arguments: argparse.Namespace) -> SceneBatch:
    """Make views by formula, and rays through neighbouring pixels from a third of the picture on."""
    width, height = (max(32, round(side * arguments.scale / 16) * 16) for side in size)
    batch = tiny_batch(arguments.views, 1, height, width)
    places = (torch.arange(rays) + width * (height // 3)) % (width * height)
    pixels_xy = torch.stack([places % width, places // width], dim=1).float()
    return SceneBatch(batch.query, batch.references, pixels_xy).to(arguments.device)


def renderer_of(arguments: argparse.Namespace) -> Renderer:
    torch.manual_seed(0)
    return Renderer().to(arguments.device)


def names_of_passes(renderer: Renderer) -> str:
    """Say what really computed the passes: a kernel that failed leaves the work to the plain pass."""
    kinds = {
        f"{type(of).__name__}{', failed' * bool(getattr(of, 'failed', None))}"
        for of in (renderer.coarse, renderer.fine)
    }
    return " and ".join(sorted(kinds))


def compared(works: dict[str, Callable[[], object]], repeats: int) -> Case:
    """Time works in turn; of each: seconds, peak of memory [GiB], kernels, and milliseconds that these are at work."""
    seconds = in_turn(works, repeats)
    return {name: {"seconds": seconds[name], **at_work(work)} for name, work in works.items()}


def at_work(work: Callable[[], object]) -> dict[str, Any]:
    """Count the kernels of one call and the milliseconds in which they are at work, with the longest five by name, and
    the memory [GiB] that it takes at most beside what was taken before."""
    if not torch.cuda.is_available():
        return {}
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        work()
        torch.cuda.synchronize()
    rows = [row for row in found.key_averages() if row.self_device_time_total > 0]
    longest = sorted(rows, key=lambda row: -row.self_device_time_total)[:5]
    return {
        "gib": (torch.cuda.max_memory_allocated() - before) / 2**30,
        "kernels": sum(row.count for row in rows),
        "milliseconds_at_work": sum(row.self_device_time_total for row in rows) / 1e3,
        "longest": {row.key[:60]: row.self_device_time_total / 1e3 for row in longest},
    }


def ceilings(arguments: argparse.Namespace) -> Case:
    """Measure bytes a second that are copied, and operations a second of products."""
    count, side = round(COPIED * arguments.scale**2), round(MATRIX_SIDE * arguments.scale)
    source = torch.zeros(count, device=arguments.device)
    target = torch.empty_like(source)
    works = {"copy": lambda: target.copy_(source)} | matrix_products(side, device=arguments.device)
    seconds = in_turn(works, arguments.repeats)
    speeds = {"copy": 2 * source.nbytes} | {name: 2 * side**3 for name in works if name != "copy"}
    return {
        name: {"seconds": seconds[name], "per_second": speeds[name] / statistics.median(seconds[name])}
        for name in works
    }


def rendering(
    ways: dict[str, dict[str, Any]], size: tuple[int, int], rays: int, repeats: int, arguments: argparse.Namespace
) -> Case:
    """Measure the rendering of many rays in several ways, encoding included."""
    renderer, batch = renderer_of(arguments).eval(), batch_of(size, rays, arguments)
    made = {
        name: ChunkRenderer(renderer, RenderingSettings(**asked), RAYS_PER_CHUNK)
        for name, asked in ({"plain float32": PLAIN} | ways).items()
    }

    def picture(name: str) -> Tensor:
        return torch.cat([chunk.fine.rgb for chunk in made[name](batch)])

    colours = {name: picture(name) for name in made}
    found = compared({name: partial(picture, name) for name in made}, repeats)
    for name, of in found.items():
        difference = colours[name] - colours["plain float32"]
        of["rays_per_second"] = rays / statistics.median(of["seconds"])
        of["computed_by"] = names_of_passes(made[name].renderer)
        of["largest_difference"] = float(difference.abs().max())
        of["decibels_to_plain"] = float(-10 * difference.square().mean().clamp(min=1e-20).log10())
    return found


def step(how: dict[str, Any], rays: int, arguments: argparse.Namespace) -> Case:
    """Measure a masked training step, encoders and optimiser included."""
    batch = batch_of(SIZE, rays, arguments)

    def case(**asked: Any) -> tuple[Renderer, Callable[[], object]]:
        whole = {"compile": False} | asked
        config = load_config("pretrain", "paper", {"data.rays": rays} | {f"hardware.{k}": v for k, v in whole.items()})
        objective = Objective(renderer_of(arguments).train(), config)
        optimiser = adam(objective.renderer.parameters(), config.training.learning_rate)
        recorded = None
        if config.hardware.cuda_graph:
            recorded = recorded_steps(partial(terms_of, objective), objective.renderer, config, batch.pixels_xy.device)
        work = partial(one_step, objective, optimiser, batch, masking_schedule(config), recorded)
        for _ in range(3 if recorded else 0):  # the second is recorded, which takes long, and is not what is timed
            work()
        return objective.prepared, work

    made = {"plain float32": case(**PLAIN), "this": case(**how)}
    found = compared({name: work for name, (_, work) in made.items()}, arguments.repeats)
    for name, (prepared, _) in made.items():
        found[name]["computed_by"] = names_of_passes(prepared)
    return found


def terms_of(
    objective: Objective, batch: SceneBatch, weight: float | Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the raw terms and, as `total`, their weighted sum."""
    return with_total(objective(batch, generator=generator), weight)


def one_step(
    objective: Objective,
    optimiser: torch.optim.Optimizer,
    batch: SceneBatch,
    schedule: Any,
    recorded: RecordedSteps | None = None,
) -> None:
    """Take an optimiser step as the trainer does."""
    if recorded is not None:
        terms = recorded(batch, schedule.weight, seed=0)
    else:
        terms = terms_of(objective, batch, schedule.weight, torch.Generator(batch.pixels_xy.device).manual_seed(0))
        optimiser.zero_grad()
        terms["total"].backward()
    torch.stack(list(terms.values())).tolist()  # the GPU is waited for, once
    optimiser.step()
    objective.renderer.masked_modelling.update_target(schedule.decay)


def encoders(arguments: argparse.Namespace) -> Case:
    """Measure the encoders of a step alone, forward and backward: what no kernel of ours makes faster."""
    renderer, batch = renderer_of(arguments).train(), batch_of(SIZE, 1, arguments)
    work = partial(_encode, renderer, batch)
    return compared({"plain float32": work}, arguments.repeats)


def _encode(renderer: nn.Module, batch: SceneBatch) -> None:
    renderer.encode(batch.references, batch.sources).maps.sum().backward()
    renderer.zero_grad()


def parts_of(arguments: argparse.Namespace) -> dict[str, Callable[[], Case]]:
    """Return what is measured, first what matters most."""
    rays, repeats, steps = arguments.rays, arguments.repeats, [min(count, arguments.rays) for count in STEPS_OF]
    first, plain, exact = WAYS
    modes = {mode: WAYS[first] | {"mode": mode} for mode in ("exact", "adaptive")}
    on_gpu = arguments.device == "cuda"
    compiled = WAYS[first] | {"compile": on_gpu}
    graph = compiled | {"cuda_graph": True}
    recorded = {
        f"{name} of {count} rays, {first}, encoders compiled, as a graph": partial(step, graph, count, arguments)
        for name, count in zip(("step", "large step"), steps, strict=True)
    }

    def of_rays(name: str) -> Callable[[], Case]:
        return partial(rendering, {name: WAYS[name]}, SIZE, rays, repeats, arguments)

    return {
        "ceilings": partial(ceilings, arguments),
        f"{rays} rays, {first}": of_rays(first),
        f"picture, {first}": partial(rendering, modes, PICTURE, min(rays * 12, 1008 * 756), 1, arguments),
        "encoders of a step": partial(encoders, arguments),
        f"step of {steps[0]} rays, {first}": partial(step, WAYS[first], steps[0], arguments),
        f"large step of {steps[1]} rays, {first}": partial(step, WAYS[first], steps[1], arguments),
        f"step of {steps[0]} rays, {first}, encoders compiled": partial(step, compiled, steps[0], arguments),
        **(recorded if on_gpu else {}),
        f"{rays} rays, {plain}": of_rays(plain),
        f"{rays} rays, {exact}": of_rays(exact),
        f"step of {steps[0]} rays, {exact}": partial(step, WAYS[exact], steps[0], arguments),
    }


def main() -> None:
    """Measure what is not measured yet, part by part, and print all of it."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(description="Time rendering and training on a GPU, in minutes.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rays", type=int, default=RAYS)
    parser.add_argument("--views", type=int, default=VIEWS)
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes, to see whether everything runs")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds after which no part is begun")
    parser.add_argument("--out", type=Path, default=RUNS / "benchmarks" / "gpu" / "run.json")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; --device cpu tries the run itself")
    size = {name: getattr(arguments, name) for name in ("device", "rays", "views", "scale")}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    set_tensor_float32(False)
    result = read(arguments.out, made_here(arguments.repeats) | size)
    for name, work in parts_of(arguments).items():
        if name in result["parts"]:
            continue
        if time.monotonic() - began > arguments.budget:
            print(f"left out, for want of time: {name}; the same command goes on there", flush=True)
            continue
        try:
            result["parts"][name] = work()
        except Exception as error:  # the other parts are worth their time
            result["parts"][name] = {"error": {"text": f"{type(error).__name__}: {error}"[:2000]}}
        write_json(arguments.out, result)
        print(f"{time.monotonic() - began:5.0f} s  {name}", flush=True)
    text = table(result)
    arguments.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
