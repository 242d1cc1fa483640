"""`make bench`: rays per second and peak memory of rendering at the published size, 8 views and 64 + 32 samples.

The reference views are a demo scene's, tiled to the published training size of 400×304; the weights are random, which
changes no timing.
"""

import json
import os
import platform
import resource
import statistics
import time
from pathlib import Path

import torch

from maskrf_core.datasets.batch import SceneBatch
from maskrf_core.datasets.scene import open_scene
from maskrf_core.datasets.views import SceneViews, evaluation_batch
from maskrf_core.files import write_json
from maskrf_core.model.gathering import query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings import ModelSettings
from maskrf_core.storage import RUNS

HEIGHT, WIDTH, VIEWS, RAYS, REPEATS = 304, 400, 8, 4096, 5


def paper_size_batch() -> SceneBatch:
    """A demo batch whose images are tiled to the published size."""
    views = SceneViews(open_scene("demo/test_00"))
    references, queries = views.scene.split("test")
    batch = evaluation_batch(views, queries[0], references, VIEWS)
    tiles = (1, 1, -(-HEIGHT // batch.references.image_size[0]), -(-WIDTH // batch.references.image_size[1]))
    images, depths = (
        part.repeat(tiles)[..., :HEIGHT, :WIDTH].contiguous()
        for part in (batch.references.images, batch.references.depths)
    )
    return SceneBatch(batch.query, batch.references.replace(images=images, depths=depths), batch.pixels_xy[:RAYS])


def main() -> None:
    """Time it, print it, keep it in runs/benchmarks/."""
    torch.manual_seed(0)
    renderer, batch = Renderer(ModelSettings()).eval(), paper_size_batch()
    rays = query_rays(batch)
    encodings, speeds = [], []
    with torch.inference_mode():
        for _ in range(REPEATS + 1):  # the first is a warm-up
            started = time.perf_counter()
            features = renderer.encode(batch.references)
            encodings.append(time.perf_counter() - started)
            started = time.perf_counter()
            for directions in rays.directions.split(1024):
                renderer.render_rays(features, rays._replace(directions=directions), mask_ratio=0.0, generator=None)
            speeds.append(RAYS / (time.perf_counter() - started))
    speeds, encodings = speeds[1:], encodings[1:]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    result = {
        "machine": f"{os.cpu_count()} × {platform.processor() or platform.machine()}",
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "rays_per_second": {"median": statistics.median(speeds), "all": speeds},
        "encoding_seconds": statistics.median(encodings),
        "peak_memory_gib": peak,
    }
    write_json(Path(RUNS) / "benchmarks" / "evaluation.json", result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
