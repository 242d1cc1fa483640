"""The most memory that rendering and training hold (`python -m tests.benchmarks.memory`).

Each measurement is a process of its own, which says what it held before the work and at the most. `rendering` encodes 8
references of 1008×756 (1008×768, padded as the package pads them) and renders a few chunks of rays, after which memory
does not grow: `--rays 762048` is the whole image. `training` takes two masked steps of 512 rays at 400×304,
`recomputing` the same with `hardware.recomputed_rays=32`, and `compiled` in bfloat16 with 128 rays recomputed at once.
"""

import argparse
import json
import subprocess
import sys

import torch

from maskrf_core.model.gathering import query_rays
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.machine import peak_memory_mib
from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.experiments.measurements import Comparison, Spread, turns
from tests.benchmarks.measuring import (
    KINDS,
    RAYS_PER_CHUNK,
    SIZE,
    batch_of_size,
    colours,
    image_size,
    keep,
    options,
    rendered,
    twins,
)
from tests.benchmarks.training_step import LEAN, steps

TRAININGS = {"training": {}, "recomputing": {"hardware.recomputed_rays": 32}, "compiled": LEAN}  # and their settings
SIZES = {"rendering": ("1008x768", 1024)} | dict.fromkeys(TRAININGS, (SIZE, 512))  # of references, and rays, by default


def held(part: str, kind: str, size: tuple[int, int], rays: int) -> dict[str, float]:
    """Measure MiB before the work and at the most: the second training step has the optimiser's state of the first."""
    batch = batch_of_size(size, rays)
    if part == "rendering":
        renderer = twins(ModelSettings())[kind].eval()
    else:
        step = steps(batch, TRAININGS[part] if kind == "here" else None)[kind]
    before = peak_memory_mib()
    if part != "rendering":
        step()
        step()
    elif kind == "here":
        colours(ChunkRenderer(renderer, rays_per_chunk=RAYS_PER_CHUNK)(batch))
    else:
        with torch.inference_mode():
            features = renderer.encode(batch.references)
        rendered(renderer, features, query_rays(batch))
    return {"before": before, "peak": peak_memory_mib()}


def compared(part: str, size: str, rays: int, repeats: int) -> dict:
    """Measure both kinds in turn, each time in a process of its own."""
    measured: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for kind in turns(KINDS, repeats):
        work = [part, "--alone", kind, "--size", size, "--rays", str(rays)]
        command = [sys.executable, "-m", "tests.benchmarks.memory", *work]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        measured[kind].append(json.loads(done.stdout))
    peaks = {kind: [each["peak"] for each in found] for kind, found in measured.items()}
    return {
        "size": f"references of {size}, {rays} rays",
        "mib_before": Spread.of([each["before"] for each in measured["here"]]),
        "comparisons": {f"memory of {part}": Comparison.of("MiB", peaks["here"], peaks["straightforward"])},
    }


def main() -> None:
    """Measure, print, keep it in runs/benchmarks/; or be one of the processes."""
    parser = options("Measure the most memory that rendering and training hold.", SIZES)
    parser.add_argument("--size", help="of reference images: width x height; default: as published")
    parser.add_argument("--rays", type=int, help="default: 4 chunks, and 512 of a training step")
    parser.add_argument("--alone", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for part in arguments.parts:
        size, rays = arguments.size or SIZES[part][0], arguments.rays or SIZES[part][1]
        if arguments.alone:
            print(json.dumps(held(part, arguments.alone, image_size(size), rays)))
        else:
            keep(f"memory_{part}", arguments.repeats, compared(part, size, rays, arguments.repeats))


if __name__ == "__main__":
    main()
