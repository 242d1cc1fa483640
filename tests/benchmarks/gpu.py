"""Rendering and a training step on a GPU, against plain eager float32 (`python -m tests.benchmarks.gpu`).

Rays at 400×304, one whole picture of 1008×756 (1008×768, padded as the package pads it), and a masked training step of
512 and of 4,096 rays. The ceilings are matrix products, and copies for the values that are looked up.
"""

import argparse
import collections
from collections.abc import Callable

import torch

from maskrf_core.model.gathering import query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import ModelSettings, RenderingSettings
from maskrf_core.workbook.experiments import measurements as measuring
from maskrf_core.workbook.experiments.measurements import Arithmetic, Comparison, Spread
from tests.benchmarks.measuring import add_sizes, batch_of_size, keep, options, rendered, twins
from tests.benchmarks.rendering import COUNTED, variants
from tests.benchmarks.training_step import COMPILED, ROUNDED, step_of
from tests.benchmarks.training_step import RAYS as TRAINING_RAYS

RAYS, RAYS_PER_CHUNK = 65_536, 16_384
PICTURE, PICTURE_RAYS = (1008, 768), 1008 * 756
MANY_RAYS = 4096  # of a training step
PLAIN = "float32"
MATRIX_SIDE = 8192
COPIED = 2**30  # floats of the copy that shows the memory's speed
LOOKED_UP = (64 + 96) * 8 * (64 + 3) * 4  # bytes of a ray's features and colours at all samples in all views


def rays(renderer: Renderer, arguments: argparse.Namespace) -> dict:
    """Measure rays of 400×304 in every variant."""
    batch = batch_of_size(arguments.size, arguments.rays).to("cuda")
    queried = query_rays(batch)
    with torch.inference_mode():
        features = renderer.encode(batch.references)
    ours = variants(renderer, features, batch, RAYS_PER_CHUNK)
    truth = ours[PLAIN].render()
    differences = {name: float((variant.render() - truth).abs().max()) for name, variant in ours.items()}
    few = queried._replace(directions=queried.directions[:COUNTED])
    gflop = measuring.operations_of(lambda: rendered(renderer, features, few)) / 1e9 / COUNTED * arguments.rays
    source = torch.zeros(COPIED, device="cuda")
    target = torch.empty_like(source)
    cases = {name: variant.render for name, variant in ours.items()} | {"copy": lambda: target.copy_(source)}
    measured = measuring.in_turn(cases | measuring.matrix_products(MATRIX_SIDE, device="cuda"), arguments.repeats)
    copied = [2 * source.nbytes / seconds for seconds in measured["copy"]]
    return {
        "rays": arguments.rays,
        "rays_per_chunk": RAYS_PER_CHUNK,
        "mflop_per_ray": gflop * 1e3 / arguments.rays,
        "rays_per_second": {name: Spread.of([arguments.rays / seconds for seconds in measured[name]]) for name in ours},
        "rays_per_second_if_only_read": Spread.of([speed / LOOKED_UP for speed in copied]),
        "largest_difference_of_colours": differences,
        "comparisons": {
            f"on the GPU, {name}": Comparison.of("s", measured[name], measured[PLAIN]) for name in ours if name != PLAIN
        },
        "arithmetic": {
            f"on the GPU, {name}": Arithmetic.of(gflop, measured, name, variant.precision, MATRIX_SIDE)
            for name, variant in ours.items()
        },
    }


def picture(renderer: Renderer, repeats: int) -> dict:
    """Measure a whole picture, encoding included, by how it is rendered: seconds, and GiB at the most."""
    batch = batch_of_size(PICTURE, PICTURE_RAYS).to("cuda")
    asked = {
        PLAIN: RenderingSettings(),
        "bfloat16, compiled": RenderingSettings(precision="bf16-mixed", compile=True),
        "bfloat16, compiled, adaptive": RenderingSettings(precision="bf16-mixed", compile=True, mode="adaptive"),
    }

    def case(how: RenderingSettings) -> Callable[[], object]:
        chunks_of = ChunkRenderer(renderer, how, RAYS_PER_CHUNK)
        return lambda: collections.deque(chunks_of(batch), maxlen=0)

    measured = measuring.in_turn({name: case(how) for name, how in asked.items()}, repeats)
    return {
        "picture_seconds": {name: Spread.of(measured[name]) for name in measured},
        "picture_gib": torch.cuda.max_memory_allocated() / 2**30,
        "comparisons": {
            f"on the GPU, a 1008×756 picture, {name}": Comparison.of("s", measured[name], measured[PLAIN])
            for name in asked
            if name != PLAIN
        },
    }


def training(repeats: int) -> dict:
    """Measure a masked step by its rays and the settings that it is taken with: seconds, and GiB at the most."""
    found: dict[str, dict] = {"step_seconds": {}, "step_gib": {}}
    ways = {
        "float32": {},
        "recomputed": {"hardware.recomputed_rays": 128},
        "compiled": COMPILED,
        "compiled, bfloat16": ROUNDED,
    }
    cases = {name: (TRAINING_RAYS, asked) for name, asked in ways.items()}
    cases |= {f"{name}, {MANY_RAYS} rays": (MANY_RAYS, ways[name]) for name in ("float32", "compiled, bfloat16")}
    for name, (count, asked) in cases.items():
        config = load_config("pretrain", "paper", {"data.rays": count, **asked})
        renderer = twins(config.model, config.masking)["here"].cuda()
        step = step_of(renderer, config, batch_of_size((400, 304), count).to("cuda"))
        torch.cuda.reset_peak_memory_stats()
        found["step_seconds"][name] = Spread.of(measuring.in_turn({name: step}, repeats)[name])
        found["step_gib"][name] = torch.cuda.max_memory_allocated() / 2**30
    return found


def main() -> None:
    """Measure, print, keep it in runs/benchmarks/."""
    parser = options("Time rendering and training on a GPU.")
    add_sizes(parser, RAYS)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("torch sees no GPU here")
    renderer = twins(ModelSettings())["here"].eval().cuda()
    result = rays(renderer, arguments)
    whole = picture(renderer, arguments.repeats)
    result["comparisons"] |= whole.pop("comparisons")
    keep("gpu", arguments.repeats, result | whole | training(arguments.repeats))


if __name__ == "__main__":
    main()
