"""The most memory that rendering and training hold (`python -m tests.benchmarks.memory`).

Each measurement is a process of its own, which says what it held before the work and at the most. `rendering` encodes 8
references of 1008×756 (1008×768, padded as the package pads them) and renders a few chunks of rays, after which memory
does not grow: `--rays 762048` is the whole image. `training` takes two masked steps of 512 rays at 400×304,
`recomputing` the same with `hardware.recomputed_rays=32`, and `compiled` compiled in bfloat16, 128 rays recomputed at
once (which changes nothing about the straightforward version).
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import partial

import torch

from maskrf_core.model.gathering import query_rays
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.machine import peak_memory_mib
from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.experiments.measurements import Comparison, Spread, turns
from tests.benchmarks.measuring import keep, options
from tests.benchmarks.published_size import KINDS, RAYS_PER_CHUNK, batch_of_size, colours, image_size, rendered, twins
from tests.benchmarks.training_step import LEAN, steps

TRAININGS = {"training": {}, "recomputing": {"hardware.recomputed_rays": 32}, "compiled": LEAN}
"""Their settings."""
SIZES = {"rendering": ("1008x768", 1024)} | dict.fromkeys(TRAININGS, ("400x304", 512))
"""Of the references, and rays, unless others are asked for."""


def rendering(kind: str, size: tuple[int, int], rays: int) -> dict[str, float]:
    """Measure MiB before and at the most."""
    batch, renderer = batch_of_size(size, rays), twins(ModelSettings())[kind].eval()
    before = peak_memory_mib()
    if kind == "here":
        colours(ChunkRenderer(renderer, rays_per_chunk=RAYS_PER_CHUNK)(batch))
    else:
        with torch.inference_mode():
            features = renderer.encode(batch.references)
        rendered(renderer, features, query_rays(batch))
    return {"before": before, "peak": peak_memory_mib()}


def training(
    kind: str, size: tuple[int, int], rays: int, overrides: Mapping[str, object] | None = None
) -> dict[str, float]:
    """Measure MiB before and at the most: the second step has the optimiser's state from the first."""
    step = steps(batch_of_size(size, rays), overrides if kind == "here" else None)[kind]
    before = peak_memory_mib()
    for _ in range(2):
        step()
    return {"before": before, "peak": peak_memory_mib()}


WORKS = {"rendering": rendering} | {name: partial(training, overrides=asked) for name, asked in TRAININGS.items()}


def alone(part: str, kind: str, size: str, rays: int) -> dict[str, float]:
    """Measure the same in a process of its own."""
    work = [part, "--alone", kind, "--size", size, "--rays", str(rays)]
    command = [sys.executable, "-m", "tests.benchmarks.memory", *work]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def compared(part: str, size: str, rays: int, repeats: int) -> dict:
    """Measure both kinds in turn."""
    measured: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for kind in turns(KINDS, repeats):
        measured[kind].append(alone(part, kind, size, rays))
    peaks = {kind: [each["peak"] for each in found] for kind, found in measured.items()}
    return {
        "size": f"references of {size}, {rays} rays",
        "mib_before": Spread.of([each["before"] for each in measured["here"]]),
        "comparisons": {f"memory of {part}": Comparison.of("MiB", peaks["here"], peaks["straightforward"])},
    }


def main() -> None:
    """Measure, print, keep it in runs/benchmarks/; or be one of the processes."""
    parser = options("Measure the most memory that rendering and training hold.", WORKS)
    parser.add_argument("--size", help="of reference images: width x height; default: as published")
    parser.add_argument("--rays", type=int, help="default: 4 chunks, and 512 of a training step")
    parser.add_argument("--alone", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for part in arguments.parts:
        size, rays = arguments.size or SIZES[part][0], arguments.rays or SIZES[part][1]
        if arguments.alone:
            print(json.dumps(WORKS[part](arguments.alone, image_size(size), rays)))
        else:
            keep(f"memory_{part}", arguments.repeats, compared(part, size, rays, arguments.repeats))


if __name__ == "__main__":
    main()
