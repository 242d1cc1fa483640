"""Seconds a view of depth estimated at 400×300, and how good it is where the truth is known.

`python -m tests.benchmarks.depth` takes traced spheres; `--scene NAME --data-root FOLDER` a scene of a data set, at its
own size. Everything counts: sweep, refinement, confirmation. All views are estimated several times over.
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from maskrf_core.datasets.depth_estimation import chosen_device, estimate_depth_maps
from maskrf_core.datasets.scene import Scene, open_scene
from maskrf_core.files import write_json
from maskrf_core.storage import RUNS
from tests.datasets.traced_scene import TracedScene

HEIGHT, WIDTH, REPEATS = 300, 400, 5


def quality(scene: Scene, maps: dict[str, np.ndarray], truths: dict[str, np.ndarray | None]) -> dict[str, float]:
    """The share of the foreground that has depth; the median and 90 % quantile of its relative error."""
    masks = {image_id: scene.mask(image_id) for image_id in maps}
    kept = sum((depth > 0).sum() for depth in maps.values()) / sum(mask.sum() for mask in masks.values())
    if any(truth is None for truth in truths.values()):
        return {"completeness": float(kept)}
    known = {image_id: (depth > 0) & (truths[image_id] > 0) for image_id, depth in maps.items()}
    errors = np.concatenate([np.abs(maps[i][k] / truths[i][k] - 1) for i, k in known.items()])
    return {
        "completeness": float(kept),
        "median_relative_error": float(np.median(errors)),
        "relative_error_90": float(np.quantile(errors, 0.9)),
    }


def main() -> None:
    """Time it, print it, keep it in runs/benchmarks/."""
    parser = argparse.ArgumentParser(description="Time the estimation of depth maps.")
    parser.add_argument("--scene", help="such as nerf_llff/fern/8; default: traced spheres")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--views", type=int, default=24, help="the first so many views of the scene")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    if arguments.scene:
        scene = open_scene(arguments.scene, arguments.data_root)
        truth = scene.depth
    else:
        scene = TracedScene(size=(HEIGHT, WIDTH), views=arguments.views)
        truth = scene.truth
    ids = scene.image_ids[: arguments.views]
    seconds, processor = [], []
    for _ in range(REPEATS + 1):  # the first is a warm-up
        started, used = time.perf_counter(), time.process_time()
        maps = estimate_depth_maps(scene, ids, device=arguments.device, progress=False)
        seconds.append((time.perf_counter() - started) / len(ids))
        processor.append((time.process_time() - used) / len(ids))
    seconds, processor = seconds[1:], processor[1:]
    height, width = maps[ids[0]].shape
    result = {
        "machine": f"{os.cpu_count()} × {platform.processor() or platform.machine()}",
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads, {chosen_device(arguments.device)}",
        "date": time.strftime("%Y-%m-%d"),
        "scene": f"{scene.name}, {len(ids)} views of {width}×{height}",
        "seconds_per_view": {"median": statistics.median(seconds), "all": seconds},
        "processor_seconds_per_view": {"median": statistics.median(processor), "all": processor},
        **quality(scene, maps, {image_id: truth(image_id) for image_id in ids}),
    }
    write_json(Path(RUNS) / "benchmarks" / f"depth_{scene.name.replace('/', '_')}.json", result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
