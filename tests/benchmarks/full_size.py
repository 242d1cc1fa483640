"""Batches of hundreds of scenes (`python -m tests.benchmarks.full_size`), made up in RealEstate10K's layout: 500 scenes
of 40 frames of 800×450, cropped to 600×400 as published; frames and COLMAP's depth maps are links to 20 files.

Milliseconds of one core a batch, made and packed as data workers do it: `cold`, with no scene open and no image kept,
and `warm`, after all scenes were opened; as many stay open as in each process of a training with 8 data workers. The
files are in the system's memory both times. Then what unpacking costs the training process, batches a second from the
loader, and what it takes to open a scene and to find its kept depth.
"""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np

from maskrf_core.datasets.batches.batch import FROM_DEPTHS, ModelInputs
from maskrf_core.datasets.batches.image_cache import ImageCache
from maskrf_core.datasets.batches.loader import _Packed, training_batches
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.depth import depth_maps
from maskrf_core.datasets.scene import open_scene
from maskrf_core.settings.config import load_config
from maskrf_core.support.machine import one_thread
from maskrf_core.workbook.experiments.measurements import Spread
from tests.benchmarks.data import textured_picture
from tests.benchmarks.measuring import keep, options
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth

HEIGHT, WIDTH, FILES = 450, 800, 20
PROCESSES = 9  # that share the memory: a training with 8 data workers
INPUTS = {"depth maps": FROM_DEPTHS, "cost volumes": ModelInputs(depths=False, sources=True)}


def make_data(data_root: Path, scenes: int, frames: int) -> None:
    """Write the scenes, and one more, `bare`, without depth."""
    generator, train = np.random.default_rng(0), data_root / "real_estate_dataset/train"
    (data_root / "files").mkdir()
    (train / "cameras").mkdir(parents=True)
    for number in range(FILES):
        cv2.imwrite(str(data_root / f"files/{number}.jpg"), textured_picture(HEIGHT, WIDTH, generator))
        depth = cv2.resize(generator.uniform(2, 8, (8, 8)), (WIDTH, HEIGHT)).astype(np.float32)
        write_colmap_depth(data_root / f"files/{number}.bin", depth)
    for scene in [*(f"{number:04d}" for number in range(scenes)), "bare"]:
        maps = data_root / f"colmap_forward_cache/real_estate/{scene}/dense_out/stereo/depth_maps"
        lines = ["https://example.invalid"]
        for folder in (train / "frames" / scene, maps):
            folder.mkdir(parents=True)
        for frame in range(frames):
            time_stamp, file = 33366 * (frame + 1), generator.integers(FILES)
            os.link(data_root / f"files/{file}.jpg", train / f"frames/{scene}/{time_stamp}.jpg")
            if scene != "bare":
                os.link(data_root / f"files/{file}.bin", maps / f"{time_stamp}.jpg.geometric.bin")
            lines.append(f"{time_stamp} 0.5 0.9 0.5 0.5 0 0 1 0 0 {-0.02 * frame} 0 1 0 0 0 0 1 0")
        (train / f"cameras/{scene}.txt").write_text("\n".join(lines))


def mixture_of(data_root: Path, inputs: ModelInputs) -> Mixture:
    """Open the data set as one of the training's processes does."""
    asked = {"data.data_root": str(data_root), "data.train_scenes": ["real_estate"]}
    config = load_config("pretrain", "paper", asked)
    images = ImageCache(config.hardware.image_cache_mib / PROCESSES)
    return Mixture(config.data, data_root / "cache", images, "cpu", inputs, 256 / PROCESSES)


def milliseconds(work: Callable[[int], object], count: int) -> float:
    """Time one call, on one core."""
    begun = time.process_time()
    for number in range(count):
        work(number)
    return (time.process_time() - begun) / count * 1000


def of_one_core(data_root: Path, inputs: ModelInputs, repeats: int, count: int) -> dict:
    """Time making and packing, and unpacking; milliseconds a batch."""
    measured = {"made, cold": [], "made, warm": [], "unpacked": []}
    for _ in range(repeats):
        mixture, made = mixture_of(data_root, inputs), {}

        def make(step: int, mixture: Mixture = mixture, made: dict = made) -> None:
            made[step % 10] = _Packed.of(mixture.draw(np.random.default_rng([0, step])))

        measured["made, cold"].append(milliseconds(make, count))
        for name in mixture.names:
            if name != "real_estate/bare/450_800":
                mixture.open(name)
        measured["made, warm"].append(milliseconds(lambda step, make=make: make(count + step), count))
        measured["unpacked"].append(milliseconds(lambda step, made=made: made[step % 10].unpacked(), count))
    return {name: Spread.of(each) for name, each in measured.items()}


def batches_a_second(data_root: Path, inputs: ModelInputs, workers: int, count: int) -> float:
    """Time the loader alone, after the first batch of each worker."""
    batches = training_batches(
        mixture_of(data_root, inputs), seed=(0,), first_step=0, steps=count + workers, workers=workers
    )
    with closing(batches):
        for _ in range(workers):
            next(batches)
        begun = time.perf_counter()
        for _ in range(count):
            next(batches)
        return count / (time.perf_counter() - begun)


def of_one_scene(data_root: Path, count: int) -> dict[str, float]:
    """Time opening a scene, and finding its kept depth: when its pictures have to be read, and when not."""
    name = "real_estate/bare/450_800"

    def made_up(scene, image_ids, **_):
        return ((image_id, np.ones((HEIGHT, WIDTH), np.float32)) for image_id in image_ids)

    scene, cache = open_scene(name, data_root), data_root / "cache"
    with patch.object(depth_maps, "estimate_depth_maps", made_up):
        depth_maps.depth_maps(scene, scene.image_ids, cache_root=cache, device="cpu")

    def find(_: int) -> None:
        views = SceneViews(open_scene(name, data_root), cache)
        assert views.find_depths(views.scene.split("train")[0])

    def find_first(step: int) -> None:
        for note in (cache / "depth").glob("*.json"):
            note.unlink()
        find(step)

    return {
        "opened": milliseconds(lambda _: open_scene(name, data_root), count),
        "and kept depth found, pictures read": milliseconds(find_first, 2),
        "and kept depth found again": milliseconds(find, count),
    }


def main() -> None:
    """Measure, print, keep in runs/benchmarks/."""
    parser = options("Measure batches of hundreds of scenes.")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--frames", type=int, default=40, help="of each scene")
    parser.add_argument("--batches", type=int, default=60, help="of each measurement")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        data_root, count = Path(folder), arguments.batches
        make_data(data_root, arguments.scenes, arguments.frames)
        measured = {"milliseconds_of_a_scene": of_one_scene(data_root, 20)}
        for name, inputs in INPUTS.items():
            measured[name] = {
                "milliseconds_a_batch_and_core": of_one_core(data_root, inputs, arguments.repeats, count),
                "batches_a_second": {
                    f"{workers} worker(s)": batches_a_second(data_root, inputs, workers, 2 * count)
                    for workers in (1, 2)
                },
            }
        keep("loading_full_size", arguments.repeats, measured)


if __name__ == "__main__":
    main()
