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

from maskrf_core.datasets.batch import FROM_DEPTHS, ModelInputs, SceneBatch, Views
from maskrf_core.datasets.evaluation_batches import evaluation_batch
from maskrf_core.datasets.scene import open_scene
from maskrf_core.datasets.views import SceneViews
from maskrf_core.files import write_json
from maskrf_core.model.gathering import query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings import ModelSettings
from maskrf_core.storage import RUNS

HEIGHT, WIDTH, VIEWS, RAYS, REPEATS = 304, 400, 8, 4096, 5
PADDED_HEIGHT, PADDED_WIDTH = 320, 416
"""The same for cost volumes, whose sides are multiples of 32."""


def paper_size_batch(inputs: ModelInputs = FROM_DEPTHS, height: int = HEIGHT, width: int = WIDTH) -> SceneBatch:
    """A demo batch whose images are tiled to the published size."""
    views = SceneViews(open_scene("demo/test_00"))
    references, queries = views.scene.split("test")
    batch = evaluation_batch(views, queries[0], references, VIEWS, inputs)

    def tiled(views: Views) -> Views:
        tiles = (1, 1, -(-height // views.image_size[0]), -(-width // views.image_size[1]))
        parts = {name: getattr(views, name) for name in ("images", "depths") if getattr(views, name) is not None}
        return views.replace(
            **{name: part.repeat(tiles)[..., :height, :width].contiguous() for name, part in parts.items()}
        )

    sources = batch.sources and batch.sources.replaced(tiled)
    return SceneBatch(batch.query, tiled(batch.references), batch.pixels_xy[:RAYS], sources)


def encoding_with_cost_volumes() -> dict[str, float]:
    """Seconds of encoding 8 views, and how many source views there are beside them."""
    renderer = Renderer(ModelSettings(visibility_init="cost_volume")).eval()
    batch = paper_size_batch(renderer.inputs, PADDED_HEIGHT, PADDED_WIDTH)
    seconds = []
    with torch.inference_mode():
        for _ in range(REPEATS + 1):
            started = time.perf_counter()
            renderer.encode(batch.references, batch.sources)
            seconds.append(time.perf_counter() - started)
    return {"median": statistics.median(seconds[1:]), "source_views": len(batch.sources.views)}


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
        "encoding_seconds_with_cost_volumes": encoding_with_cost_volumes(),
    }
    write_json(Path(RUNS) / "benchmarks" / "evaluation.json", result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
