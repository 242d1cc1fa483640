from pathlib import Path

import cv2
import numpy as np

from maskrf_core.datasets.captures.lens_camera import LensCamera
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.traced_scene import dome_camera

CAMERA = LensCamera("PINHOLE", 504, 378, (400.0, 410.0, 252.0, 189.0))


def build(root: Path) -> str:
    folder = root / "llff_colmap/shelf"
    (folder / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for view in range(3):
        tile = generator.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        picture = cv2.resize(tile, (CAMERA.width, CAMERA.height), interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(folder / f"images/{view}.jpg"), picture)
    views = {f"{view}.jpg": (CAMERA, dome_camera(view, 3)) for view in range(3)}
    write_model(folder / "sparse", views, generator.normal(0, 0.3, (20, 3)))
    np.save(folder / "depth_range.npy", np.array([[2.0, 5.0], [2.1, 5.1], [2.2, 5.2]]))
    return "llff_colmap/shelf/low"
