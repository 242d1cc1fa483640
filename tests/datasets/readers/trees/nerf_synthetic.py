import json
from pathlib import Path

import cv2
import numpy as np


def camera_to_world(angle: float) -> np.ndarray:
    """A Blender camera at distance 4, turned about the world's z axis."""
    pose = np.eye(4)
    pose[:3, :3] = [
        [np.cos(angle), 0, np.sin(angle)],
        [np.sin(angle), 0, -np.cos(angle)],
        [0, 1, 0],
    ]
    pose[:3, 3] = 4 * pose[:3, 2]
    return pose


def build(root: Path) -> str:
    """A scene of 16×16 images: 3 train, 2 validation (one of them of the published six), 1 test."""
    folder = root / "nerf_synthetic" / "cube"
    generator = np.random.default_rng(0)
    for split, numbers in {"train": [0, 1, 2], "val": [2, 5], "test": [0]}.items():
        (folder / split).mkdir(parents=True)
        frames = []
        for number in numbers:
            image = generator.integers(1, 255, (16, 16, 4), dtype=np.uint8)
            image[:4, :, 3], image[4, :, 3], image[5:, :, 3] = 0, 1, 255  # a trace of the object counts as it
            assert cv2.imwrite(str(folder / split / f"r_{number}.png"), image)
            frames.append(
                {"file_path": f"./{split}/r_{number}", "transform_matrix": camera_to_world(number / 3).tolist()}
            )
        listing = {"camera_angle_x": 0.8, "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(listing))
    return "nerf_synthetic/cube/black_16"
