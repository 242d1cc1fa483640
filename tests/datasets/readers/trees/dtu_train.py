from pathlib import Path

import numpy as np

from tests.datasets.readers.tree_parts import homogeneous, orbit, write_picture

K = np.array([[45.0, 0, 20], [0, 44, 15], [0, 0, 1]])
SCALE = np.diag([250.0, 250, 250, 1])
SCALE[:3, 3] = 12, -30, 50


def cameras(count: int) -> dict[str, np.ndarray]:
    """world_mat_i and scale_mat_i of cameras on an arc that look at the centre of the unit sphere that SCALE names."""
    arrays = {}
    for row in range(count):
        w2c = orbit(row / 8, distance=2.5)
        w2c[:, 3] *= 250
        to_centre = np.eye(4)
        to_centre[:3, 3] = -SCALE[:3, 3]
        arrays[f"world_mat_{row}"] = homogeneous(K @ w2c @ to_centre)
        arrays[f"scale_mat_{row}"] = SCALE
    return arrays


def build(root: Path) -> str:
    folder = root / "dtu_train/scan1"
    for view in range(4):
        write_picture(folder / f"image/{view:06}.png", 30, 40)
    np.savez(folder / "cameras.npz", **cameras(4))
    return "dtu_train/scan1"
