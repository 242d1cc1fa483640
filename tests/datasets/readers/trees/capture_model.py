from pathlib import Path

import cv2
import numpy as np

from maskrf_core.datasets.captures.lens_camera import LensCamera
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.traced_scene import dome_camera

CAMERA = LensCamera("OPENCV", 48, 36, (40.0, 41.0, 24.0, 18.0, 0.05, -0.01, 0.001, 0.001))


def build(root: Path) -> str:
    """A capture with a COLMAP model, whose lens distorts."""
    folder = root / "captures/model"
    (folder / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for view in range(4):
        cv2.imwrite(str(folder / f"images/{view}.jpg"), generator.integers(0, 255, (36, 48, 3), dtype=np.uint8))
    views = {f"{view}.jpg": (CAMERA, dome_camera(view, 4)) for view in range(4)}
    write_model(folder / "sparse/0", views, generator.normal(0, 0.3, (20, 3)))
    return "capture/model/raw"
