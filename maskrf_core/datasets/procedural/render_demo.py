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
from maskrf_core.support.atomic_files import write_atomically

IMAGE_SIZE = 96
VIEW_COUNT = 20
SAMPLES_PER_PIXEL = 121
"""The square of a prime, as mitsuba's orthogonal sampler wants it."""
DEPTH_MARGIN = 0.03
AZIMUTH_STEP = np.radians(55)
"""Spreads 20 views almost as evenly as the golden angle (neighbours 23° to 27° apart, more without ground), and unlike
it puts every fifth view on another side of the scene, so that the query views surround it."""


@dataclass(frozen=True)
class StagedScene:
    """A scene ready to be photographed: mitsuba's scene, and the cameras exactly as they are stored."""

    mitsuba_scene: Any
    K: Float[np.ndarray, "view 3 3"]
    w2c: Float[np.ndarray, "view 3 4"]
    depth_ranges: Float[np.ndarray, "view 2"]


def dome_cameras(
    vertices: Float[np.ndarray, "vertex 3"], count: int, image_size: int, *, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "view 3 3"], Float[np.ndarray, "view 3 4"]]:
    """Place `count` cameras on a spiral around `vertices` (z up): K and w2c, the first pixel's centre at (0, 0).

    All look near the scene's middle, which just fills each frame. A scene that reaches below z = -0.2 has no ground and
    is also seen from below.
    """
    target = 0.5 * (vertices.min(0) + vertices.max(0))
    reach = np.linalg.norm(vertices - target, axis=1).max()
    lowest, highest = (-30, 60) if vertices[:, 2].min() < -0.2 else (12, 68)
    heights = np.linspace(np.sin(np.radians(lowest)), np.sin(np.radians(highest)), count)
    start = rng.uniform(0, 2 * np.pi)
    K, w2c = np.zeros((count, 3, 3)), np.zeros((count, 3, 4))
    for view, height in enumerate(heights):
        azimuth = start + view * AZIMUTH_STEP + rng.uniform(-0.12, 0.12)
        elevation = np.arcsin(height) + np.radians(rng.uniform(-4, 4))
        distance = rng.uniform(2.6, 3.4) * reach
        across = np.cos(elevation)
        outward = np.array([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)])
        aim = target + rng.uniform(-0.05, 0.05, 3)
        w2c[view] = _look_at(aim + distance * outward, aim, roll=np.radians(rng.uniform(-6, 6)))
        x, y, z = w2c[view, :, :3] @ vertices.T + w2c[view, :, 3:]
        filled = max(np.abs(x / z).max(), np.abs(y / z).max())
        focal, centre = rng.uniform(0.92, 1.04) * image_size / 2 / filled, (image_size - 1) / 2
        K[view] = [[focal, 0, centre], [0, focal, centre], [0, 0, 1]]
    return K, w2c


def _look_at(position: Float[np.ndarray, "3"], aim: Float[np.ndarray, "3"], roll: float) -> Float[np.ndarray, "3 4"]:
    forward = (aim - position) / np.linalg.norm(aim - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
    rotation = np.stack([right, down, forward])
    return np.column_stack([rotation, -rotation @ position])


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
    """Take image, exact z-depth (0 on the background) and mask of one view."""
    K, w2c = staged.K[view], staged.w2c[view]
    image = render_image(staged.mitsuba_scene, make_sensor(K, w2c, IMAGE_SIZE), samples, seed=view)
    return image, *cast_depth(staged.mitsuba_scene, K, w2c, IMAGE_SIZE)


def _tiled(pictures: list[np.ndarray]) -> np.ndarray:
    rows = [np.hstack(pictures[i : i + TILES_PER_ROW]) for i in range(0, len(pictures), TILES_PER_ROW)]
    return np.vstack(rows)


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
    lines = ",\n".join(f"{json.dumps(image_id)}: {json.dumps(camera)}" for image_id, camera in cameras.items())
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101]
    smallest = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
    contents = {
        "cameras.json": f"{{\n{lines}\n}}\n".encode(),
        "images.webp": cv2.imencode(".webp", _tiled(images), lossless)[1].tobytes(),
        "depths.png": cv2.imencode(".png", _tiled(depths), smallest)[1].tobytes(),
    }
    for name, content in contents.items():
        write_atomically(output / scene / name, lambda file, content=content: file.write(content))


def main() -> None:
    """Render the scenes that the command line names."""
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
