"""A small transforms.json of four photographs, for tests to change."""

import json
from pathlib import Path

import cv2
import numpy as np

from maskrf_core.datasets.captures import transforms

FRAMES = ("c", "a", "b", "d")


def write_transforms(tmp_path: Path) -> Path:
    """Write four photographs of 24×16, listed out of order; the k-th camera of the names stands at (1, 2, k)."""
    frames = []
    for name in FRAMES:
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((16, 24, 3), np.uint8))
        c2w = np.eye(4)
        c2w[:3, 3] = 1, 2, ord(name) - ord("a")
        frames.append({"file_path": f"./{name}.png", "transform_matrix": c2w.tolist()})
    content = {"fl_x": 20.0, "fl_y": 21.0, "cx": 12.5, "cy": 8.5, "w": 24.0, "h": 16, "k1": 0.1, "frames": frames}
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    return tmp_path / "transforms.json"


def source_from_transforms(path: Path):
    return transforms.source_from_transforms(transforms.transforms_files(path.parent))


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def camera(path: Path, index: int = 2):
    """The camera of c.png, the first frame."""
    return source_from_transforms(path).photographs[index].camera
