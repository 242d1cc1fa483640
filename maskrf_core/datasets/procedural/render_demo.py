"""Make the demo scenes again: `python -m maskrf_core.datasets.procedural.render_demo [--scene test_00 …]`.

Needs the extra `demo` (mitsuba). Everything follows from the scenes' names, so a second run with the same version of
mitsuba gives the same files. A scene takes about 40 s of one core.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from tqdm import tqdm

from maskrf_core.datasets.demo import DATA_FOLDER, TILES_PER_ROW, encode_depth
from maskrf_core.datasets.procedural.composition import RECIPES, compose, scene_generator
from maskrf_core.datasets.procedural.path_tracing import build_scene, cast_depth, make_sensor, render_image
from maskrf_core.datasets.procedural.viewpoints import dome_cameras

IMAGE_SIZE = 96
VIEW_COUNT = 20
SAMPLES_PER_PIXEL = 121
"""The square of a prime, as mitsuba's orthogonal sampler wants it."""
DEPTH_MARGIN = 0.03


@dataclass(frozen=True)
class StagedScene:
    """A scene ready to be photographed: mitsuba's scene, and the cameras exactly as they are stored."""

    mitsuba_scene: Any
    K: Float[np.ndarray, "view 3 3"]
    w2c: Float[np.ndarray, "view 3 4"]
    depth_ranges: Float[np.ndarray, "view 2"]


def stage_scene(scene: str) -> StagedScene:
    """Compose a scene (`test_00`) and place its cameras, all drawn from its name."""
    rng = scene_generator(scene)
    composition = compose(scene, rng=rng)
    vertices = np.concatenate([item.mesh.vertices for item in composition.items])
    K, w2c = dome_cameras(vertices, VIEW_COUNT, IMAGE_SIZE, rng=rng)
    K, w2c = np.round(K, 6), np.round(w2c, 9)
    depth = np.einsum("vi,ni->vn", w2c[:, 2, :3], vertices) + w2c[:, 2, 3:]
    ranges = np.stack([depth.min(1) * (1 - DEPTH_MARGIN), depth.max(1) * (1 + DEPTH_MARGIN)], -1)
    return StagedScene(build_scene(composition), K, w2c, np.round(ranges, 4))


def photograph(
    staged: StagedScene, view: int, samples: int = SAMPLES_PER_PIXEL
) -> tuple[UInt8[np.ndarray, "height width 3"], Float32[np.ndarray, "height width"], Bool[np.ndarray, "height width"]]:
    """Image, exact z-depth (0 on the background) and mask of one view."""
    K, w2c = staged.K[view], staged.w2c[view]
    image = render_image(staged.mitsuba_scene, make_sensor(K, w2c, IMAGE_SIZE), samples, seed=view)
    return image, *cast_depth(staged.mitsuba_scene, K, w2c, IMAGE_SIZE)


def _tiled(pictures: list[np.ndarray]) -> np.ndarray:
    rows = [np.hstack(pictures[i : i + TILES_PER_ROW]) for i in range(0, len(pictures), TILES_PER_ROW)]
    return np.vstack(rows)


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(content)
    beside.replace(path)


def write_scene(scene: str, output: Path, samples: int = SAMPLES_PER_PIXEL) -> None:
    """Render all views of a scene into the folder `output/<scene>`."""
    staged = stage_scene(scene)
    images, depths, cameras = [], [], {}
    for view in tqdm(range(VIEW_COUNT), desc=scene):
        image, depth, _ = photograph(staged, view, samples)
        near, far = staged.depth_ranges[view].tolist()
        images.append(image[..., ::-1])
        depths.append(encode_depth(depth, (near, far)))
        matrices = {"K": staged.K[view].tolist(), "w2c": staged.w2c[view].tolist()}
        cameras[f"view_{view:02d}"] = {**matrices, "depth_range": [near, far]}
    folder = output / scene
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"{json.dumps(image_id)}: {json.dumps(camera)}" for image_id, camera in cameras.items())
    _write(folder / "cameras.json", f"{{\n{lines}\n}}\n".encode())
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101]
    _write(folder / "images.webp", cv2.imencode(".webp", _tiled(images), lossless)[1].tobytes())
    smallest = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
    _write(folder / "depths.png", cv2.imencode(".png", _tiled(depths), smallest)[1].tobytes())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Render the demo scenes with mitsuba.")
    parser.add_argument("--scene", nargs="+", default=list(RECIPES), choices=list(RECIPES), help="default: all")
    parser.add_argument(
        "--output", type=Path, default=DATA_FOLDER, help="folder for the scenes; default: the package's"
    )
    parser.add_argument("--samples", type=int, default=SAMPLES_PER_PIXEL, help="paths per pixel")
    arguments = parser.parse_args()
    for scene in arguments.scene:
        write_scene(scene, arguments.output, arguments.samples)


if __name__ == "__main__":
    main()
