from pathlib import Path

import numpy as np

from tests.datasets.readers.tree_parts import disc, write, write_picture
from tests.datasets.readers.trees.dtu_train import cameras

VIEWS = 9


def build(root: Path) -> str:
    folder = root / "dtu_test/birds"
    for view in range(VIEWS):
        write_picture(folder / f"image/{view:06}.png", 30, 40)
        write(folder / f"mask/{view:03}.png", disc(30, 40))
    np.savez(folder / "cameras.npz", **cameras(VIEWS))
    np.save(folder / "depth_range.npy", np.array([1.2, 3.4]))
    return "dtu_test/birds/black_20"
