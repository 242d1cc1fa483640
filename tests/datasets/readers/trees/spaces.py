import json
from pathlib import Path

import cv2
import numpy as np

from tests.datasets.readers.tree_parts import orbit, write_picture

SIZES = ((24, 40), (12, 20), (24, 32))
"""Of the three cameras' images; models.json says 24×40 of all."""


def camera(place: int, number: int) -> dict:
    w2c = orbit(place / 4 + number / 10)
    return {
        "relative_path": f"cam_{number:02}/image_{place:03}.jpg",
        "width": 40.0,
        "height": 24.0,
        "focal_length": 30.0,
        "pixel_aspect_ratio": 1.1,
        "principal_point": [20.5, 11.5],
        "position": (-w2c[:, :3].T @ w2c[:, 3]).tolist(),
        "orientation": cv2.Rodrigues(np.ascontiguousarray(w2c[:, :3]))[0][:, 0].tolist(),
    }


def build(root: Path) -> str:
    folder = root / "spaces_dataset/data/800/scene_038"
    for number, size in enumerate(SIZES):
        for place in range(2):
            write_picture(folder / f"cam_{number:02}/image_{place:03}.jpg", *size)
    (folder / "models.json").write_text(
        json.dumps([[camera(place, number) for number in range(3)] for place in (0, 1)])
    )
    return "space/scene_038"
