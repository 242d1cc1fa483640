from pathlib import Path

import cv2
import numpy as np

from maskrf_core.datasets.captures.lens_camera import LensCamera
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.traced_scene import dome_camera

CAMERA = LensCamera("PINHOLE", 48, 36, (40.0, 41.0, 24.0, 18.0))


def build(root: Path) -> str:
    folder = root / "example/desk"
    (folder / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for view in range(4):
        cv2.imwrite(str(folder / f"images/{view}.jpg"), generator.integers(0, 255, (36, 48, 3), dtype=np.uint8))
    views = {f"{view}.jpg": (CAMERA, dome_camera(view, 4)) for view in range(4)}
    write_model(folder / "sparse/0", views, generator.normal(0, 0.3, (20, 3)))
    return "example/desk/raw"
