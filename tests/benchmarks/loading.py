"""Whether the loader keeps up, on a data set made up at the published size (`python -m tests.benchmarks.loading`).

Three scenes of `real_iconic`: 30 photographs of 1008×756 with depth maps, on disk, cropped to 400×600. Parts, all of
them by default:
`speed`: seconds a batch of the loader alone, in turn with the plain way, which decodes everything anew in the training
process; `waiting`: the share of real training steps (8 views, 512 rays, 64 + 32 samples) that passes in waiting for the
next batch, there and with one worker, where images are kept in memory and where every one is decoded for each batch;
`memory`: resident memory over 2,000 batches.
"""

import tempfile
import time
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import psutil
import torch
from torch.utils.benchmark import Timer

from maskrf_core.datasets.batches.loader import training_batches
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.batches.scene_views import ImageCache
from maskrf_core.losses import weighted_sum
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.config import load_config
from maskrf_core.training.objective import Objective, masked_weight
from maskrf_core.workbook.experiments.measurements import Comparison, Spread, turns
from tests.benchmarks.measuring import keep, options
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth

HEIGHT, WIDTH, VIEWS, SCENES = 756, 1008, 30, 3
SPEED_BATCHES, SPEED_WARM_UP = 30, 10
MEMORY_BATCHES, SAMPLED_EVERY, WARM_UP = 2000, 25, 500
KEPT, PLAIN = "1 worker, images kept", "no worker, every image decoded"
WAYS = {KEPT: (1, 4096.0), "1 worker, every image decoded": (1, 0.0), PLAIN: (0, 0.0)}
"""How many workers there are, and MiB of images that they keep."""


def make_data(data_root: Path) -> None:
    """Write scenes of real_iconic with COLMAP's depth: pictures with noise at every scale, as photographs have."""
    generator = np.random.default_rng(0)
    for scene in range(SCENES):
        folder = data_root / f"real_iconic_noface/scene_{scene}"
        (folder / "images_4").mkdir(parents=True)
        np.save(folder / "poses_bounds.npy", np.stack([pose_and_bounds(0.05 * view) for view in range(VIEWS)]))
        for view in range(VIEWS):
            picture = np.full((HEIGHT, WIDTH, 3), 128.0)
            for factor, strength in ((128, 40), (32, 20), (8, 10), (2, 5)):
                noise = generator.normal(0, strength, (HEIGHT // factor + 1, WIDTH // factor + 1, 3))
                picture += cv2.resize(noise, (WIDTH, HEIGHT))
            cv2.imwrite(str(folder / f"images_4/{view:02d}.png"), picture.clip(0, 255).astype(np.uint8))
            depth = cv2.resize(generator.uniform(2, 8, (8, 8)), (WIDTH, HEIGHT)).astype(np.float32)
            kept = f"colmap_forward_cache/real_iconic/scene_{scene}/4/dense_out/stereo/depth_maps"
            write_colmap_depth(data_root / kept / f"{view}.jpg.geometric.bin", depth)


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
            weighted_sum(terms, masked_weight(config.masking, step)).backward()
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


def main() -> None:
    """Measure, print, keep each part in runs/benchmarks/."""
    parser = options("Measure the loader at the published size.", ("speed", "waiting", "memory"))
    parser.add_argument("--steps", type=int, default=8, help="training steps of `waiting`")
    parser.add_argument("--batches", type=int, default=SPEED_BATCHES, help="of each measurement of `speed`")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_root = Path(folder)
        make_data(data_root)
        parts = {
            "speed": lambda: speed(data_root, arguments.repeats, arguments.batches),
            "waiting": lambda: {name: waiting(data_root, *way, arguments.steps) for name, way in WAYS.items()},
            "memory": lambda: memory(data_root),
        }
        for name in arguments.parts:
            keep(f"loading_{name}", arguments.repeats, parts[name]())


if __name__ == "__main__":
    main()
