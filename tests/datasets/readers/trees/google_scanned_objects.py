from pathlib import Path

import numpy as np

from tests.datasets.readers.tree_parts import as_text, disc, homogeneous, orbit, write, write_picture

VIEWS = 3
SIZE = 32
INTRINSICS = np.array([[40, 0, 15.5, 0], [0, 40, 15.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def build(root: Path) -> str:
    folder = root / "google_scanned_objects/cup"
    for view in range(VIEWS):
        stem = f"{view:06}"
        write_picture(folder / f"rgb/{stem}.png", SIZE, SIZE)
        write(folder / f"mask/{stem}.png", disc(SIZE, SIZE))
        write(folder / f"depth/{stem}.png", np.full((SIZE, SIZE), 1900 + view, np.uint16))
        pose = np.linalg.inv(homogeneous(orbit(view / 3, distance=2)))
        for part, matrix in {"intrinsics": INTRINSICS, "pose": pose}.items():
            (folder / part).mkdir(exist_ok=True)
            (folder / part / f"{stem}.txt").write_text(as_text(matrix.reshape(1, 16)) + "\n")
    return "gso/cup/black_16"
