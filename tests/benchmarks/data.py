"""Loading of data and estimation of depth (`python -m tests.benchmarks.data [PART...]`). Parts, all of them by default:

`speed`: seconds a batch of the loader alone, in turn with the plain way, which decodes everything anew in the training
process; `waiting`: the share of real training steps (8 views, 512 rays, 64 + 32 samples) that passes in waiting for the
next batch; `memory`: resident memory over 2,000 batches. All of three made-up scenes of `real_iconic` on disk: 30
photographs of 1008×756 with depth maps, cropped to 400×600.
`depth`: seconds a view of depth estimated at 400×300, everything included, in turn with an estimation whose costs are
computed the plain way, and how good it is; of traced spheres, or of `--scene NAME --data-root FOLDER`.
"""

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import psutil
import torch
from torch.utils.benchmark import Timer

from maskrf_core.datasets.batches.image_cache import ImageCache
from maskrf_core.datasets.batches.loader import training_batches
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.depth import plane_sweep
from maskrf_core.datasets.depth.depth_estimation import chosen_device, estimate_depth_maps
from maskrf_core.datasets.scene import Scene, open_scene
from maskrf_core.losses import weighted_sum
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.config import load_config
from maskrf_core.training.objective import Objective
from maskrf_core.training.schedules import masking_schedule
from maskrf_core.workbook.experiments.measurements import Comparison, Spread, in_turn, turns
from tests.benchmarks import reference_depth
from tests.benchmarks.measuring import keep, options
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.traced_scene import TracedScene

HEIGHT, WIDTH, VIEWS, SCENES = 756, 1008, 30, 3
SPEED_WARM_UP = 10
MEMORY_BATCHES, SAMPLED_EVERY, WARM_UP = 2000, 25, 500
KEPT, PLAIN = "1 worker, images kept", "no worker, every image decoded"
WAYS = {KEPT: (1, 4096.0), "1 worker, every image decoded": (1, 0.0), PLAIN: (0, 0.0)}  # workers, MiB of images kept


def make_data(data_root: Path) -> None:
    """Write scenes of real_iconic with COLMAP's depth: pictures with noise at every scale, as photographs have."""
    generator = np.random.default_rng(0)
    for scene in range(SCENES):
        folder = data_root / f"real_iconic_noface/scene_{scene}"
        (folder / "images_4").mkdir(parents=True)
        np.save(folder / "poses_bounds.npy", np.stack([pose_and_bounds(0.05 * view) for view in range(VIEWS)]))
        for view in range(VIEWS):
            cv2.imwrite(str(folder / f"images_4/{view:02d}.png"), textured_picture(HEIGHT, WIDTH, generator))
            depth = cv2.resize(generator.uniform(2, 8, (8, 8)), (WIDTH, HEIGHT)).astype(np.float32)
            kept = f"colmap_forward_cache/real_iconic/scene_{scene}/4/dense_out/stereo/depth_maps"
            write_colmap_depth(data_root / kept / f"{view}.jpg.geometric.bin", depth)


def textured_picture(height: int, width: int, generator: np.random.Generator) -> np.ndarray:
    """Make a picture with noise of several sizes, which packs about as well as a photograph."""
    picture = np.full((height, width, 3), 128.0)
    for factor, strength in ((128, 40), (32, 20), (8, 10), (2, 5)):
        noise = generator.normal(0, strength, (height // factor + 1, width // factor + 1, 3))
        picture += cv2.resize(noise, (width, height))
    return picture.clip(0, 255).astype(np.uint8)


def pose_and_bounds(x: float) -> np.ndarray:
    """Make a row of poses_bounds.npy: a camera at x that looks along -z, columns down, right, back, centre, size."""
    matrix = np.array([[0, 1, 0, x, 4 * HEIGHT], [-1, 0, 0, 0, 4 * WIDTH], [0, 0, 1, 0, 3600.0]])
    return np.concatenate([matrix.ravel(), [1.0, 9.0]])


def batches_of(data_root: Path, count: int, *, workers: int = 1, cache_mib: float = 1024.0):
    """Start the loader as training does."""
    data = load_config("pretrain", "paper", {"data.data_root": str(data_root), "data.train_scenes": ["real_iconic"]})
    mixture = Mixture(data.data, None, ImageCache(cache_mib / (workers + 1)))
    return training_batches(mixture, seed=(0, 0), first_step=0, steps=count, workers=workers)


def waiting(data_root: Path, workers: int, cache_mib: float, steps: int) -> dict:
    """Time real steps and the waiting in them, without the first batch and step."""
    config = load_config("pretrain", "paper")
    torch.manual_seed(0)
    objective = Objective(Renderer(config.model, config.masking).train(), config)
    optimiser = torch.optim.Adam(objective.parameters(), lr=4e-4)
    waited, stepped = [], []
    with closing(batches_of(data_root, steps + 1, workers=workers, cache_mib=cache_mib)) as batches:
        for step in range(steps + 1):
            begun = time.perf_counter()
            draw = next(batches)
            waited.append(time.perf_counter() - begun)
            terms = objective(draw.batch, generator=torch.Generator().manual_seed(step))
            optimiser.zero_grad()
            weighted_sum(terms, masking_schedule(config).weight_at(step)).backward()
            optimiser.step()
            stepped.append(time.perf_counter() - begun)
    return {
        "first_batch_seconds": waited[0],
        "seconds_per_step": Spread.of(stepped[1:]),
        "seconds_waited_per_step": Spread.of(waited[1:]),
        "share_waited": sum(waited[1:]) / sum(stepped[1:]),
    }


def seconds_a_batch(data_root: Path, workers: int, cache_mib: float, count: int) -> float:
    """Time a batch of the loader alone, after the first few."""
    total = SPEED_WARM_UP + 2 * count + 2  # the timer takes a few that do not count
    with closing(batches_of(data_root, total, workers=workers, cache_mib=cache_mib)) as batches:
        for _ in range(SPEED_WARM_UP):
            next(batches)
        timer = Timer("next(batches)", globals={"batches": batches}, num_threads=torch.get_num_threads())
        return timer.timeit(count).mean


def speed(data_root: Path, repeats: int, count: int) -> dict:
    """Time all ways in turn."""
    measured: dict[str, list[float]] = {name: [] for name in WAYS}
    for name in turns(WAYS, repeats):
        measured[name].append(seconds_a_batch(data_root, *WAYS[name], count))
    return {
        "seconds_per_batch": {name: Spread.of(seconds) for name, seconds in measured.items()},
        "comparisons": {"data loading, a batch": Comparison.of("s", measured[KEPT], measured[PLAIN])},
    }


def memory(data_root: Path) -> dict[str, dict[str, float]]:
    """Sample MiB resident at the beginning and end after the warm-up, and the slope between, of both processes."""
    samples = []
    with closing(batches_of(data_root, MEMORY_BATCHES)) as batches:
        for number, _ in enumerate(batches):
            if number % SAMPLED_EVERY == 0:
                main = psutil.Process()
                workers = [child for child in main.children() if child.is_running()]
                resident = [sum(process.memory_info().rss for process in part) for part in ([main], workers)]
                samples.append((number, *(value / 2**20 for value in resident)))
    table = np.array(samples)
    table = table[(table[:, 0] >= WARM_UP) & (table[:, 2] > 0)]  # the worker may have ended before the last sample
    return {
        name: {
            "after_warm_up": float(table[0, column]),
            "at_the_end": float(table[-1, column]),
            "largest": float(table[:, column].max()),
            "slope_mib_per_1000_batches": float(np.polyfit(table[:, 0], table[:, column], 1)[0] * 1000),
        }
        for column, name in ((1, "main"), (2, "worker"))
    }


def quality(scene: Scene, maps: dict[str, np.ndarray], truths: dict[str, np.ndarray | None]) -> dict[str, float]:
    """Measure the share of the foreground that has depth, and the relative error where the truth is known."""
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


class Estimation:
    """Estimates all maps of some views, by the package or the plain way; keeps the maps and the processor's time."""

    def __init__(self, scene: Scene, ids: list[str], device: str):
        self.ids, self.processor_seconds = ids, []
        self._estimate = lambda: dict(estimate_depth_maps(scene, ids, device=device, progress=False))

    def here(self) -> None:
        """Estimate as the package does."""
        used = time.process_time()
        self.maps = self._estimate()
        self.processor_seconds.append((time.process_time() - used) / len(self.ids))

    def straightforward(self) -> None:
        """Estimate with every plane and neighbour compared on its own."""
        with patch.object(plane_sweep, "photometric_costs", reference_depth.photometric_costs):
            self.plain_maps = self._estimate()

    def agreement(self) -> float:
        """Compute the share of the pixels with depth on which both agree to 1 %."""
        pairs = [(self.maps[image_id], self.plain_maps[image_id]) for image_id in self.ids]
        same = sum(((ours > 0) & (abs(ours - plain) <= 0.01 * ours)).sum() for ours, plain in pairs)
        return float(same / sum(((ours > 0) | (plain > 0)).sum() for ours, plain in pairs))


def depth(arguments: argparse.Namespace) -> tuple[str, dict]:
    """Time the estimation of depth maps; return the name of the scene as well."""
    if arguments.scene:
        scene = open_scene(arguments.scene, arguments.data_root)
        truth = scene.depth
    else:
        scene = TracedScene(size=(300, 400), views=arguments.views)
        truth = scene.truth
    ids = list(scene.image_ids[: arguments.views])
    estimation = Estimation(scene, ids, arguments.device)
    seconds = in_turn({name: getattr(estimation, name) for name in ("here", "straightforward")}, arguments.repeats)
    by_view = {name: [each / len(ids) for each in measured] for name, measured in seconds.items()}
    height, width = estimation.maps[ids[0]].shape
    return scene.name, {
        "device": str(chosen_device(arguments.device)),
        "scene": f"{scene.name}, {len(ids)} views of {width}×{height}",
        "seconds_per_view": Spread.of(by_view["here"]),
        "processor_seconds_per_view": Spread.of(estimation.processor_seconds[1::2]),  # every other one does not count
        "agreement": estimation.agreement(),
        **quality(scene, estimation.maps, {image_id: truth(image_id) for image_id in ids}),
        "comparisons": {f"depth of a view, {scene.name}": Comparison.of("s", **by_view)},
    }


def main() -> None:
    """Measure, print, keep each part in runs/benchmarks/."""
    parser = options("Measure the loader and the estimation of depth.", ("speed", "waiting", "memory", "depth"))
    parser.add_argument("--steps", type=int, default=8, help="training steps of `waiting`")
    parser.add_argument("--batches", type=int, default=30, help="of each measurement of `speed`")
    parser.add_argument("--scene", help="of `depth`, such as nerf_llff/fern/8; default: traced spheres")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--views", type=int, default=8, help="the first so many views of the scene")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    if "depth" in arguments.parts:
        scene, measured = depth(arguments)
        keep(f"depth_{scene.replace('/', '_')}", arguments.repeats, measured)
    loading = [part for part in arguments.parts if part != "depth"]
    with tempfile.TemporaryDirectory() as folder:
        data_root = Path(folder)
        if loading:
            make_data(data_root)
        parts = {
            "speed": lambda: speed(data_root, arguments.repeats, arguments.batches),
            "waiting": lambda: {name: waiting(data_root, *way, arguments.steps) for name, way in WAYS.items()},
            "memory": lambda: memory(data_root),
        }
        for name in loading:
            keep(f"loading_{name}", arguments.repeats, parts[name]())


if __name__ == "__main__":
    main()
