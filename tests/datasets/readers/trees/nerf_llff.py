from pathlib import Path

import cv2
import numpy as np

VIEWS = 10


def poses_bounds() -> np.ndarray:
    """Cameras side by side along x, all looking along -z of their world (LLFF columns down, right, back)."""
    rows = np.zeros((VIEWS, 17))
    for view, row in enumerate(rows):
        matrix = row[:15].reshape(3, 5)
        matrix[:, 0], matrix[:, 1], matrix[:, 2] = [0, -1, 0], [1, 0, 0], [0, 0, 1]
        matrix[:, 3] = [view - (VIEWS - 1) / 2, 5, 7]
        matrix[:, 4] = [48, 64, 80]
        row[15:] = 6 + 0.1 * view, 30
    return rows


def write_capture(folder: Path) -> None:
    """Ten images at factor 4, each of one grey, its number."""
    (folder / "images_4").mkdir(parents=True)
    for view in range(VIEWS):
        assert cv2.imwrite(str(folder / f"images_4/im{view:02}.png"), np.full((12, 16, 3), view, np.uint8))
    np.save(folder / "poses_bounds.npy", poses_bounds())


def build(root: Path) -> str:
    write_capture(root / "nerf_llff_data/shelf")
    return "nerf_llff/shelf/4"
