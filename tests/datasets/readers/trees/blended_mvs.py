from pathlib import Path

import numpy as np

from tests.datasets.readers.tree_parts import as_text, homogeneous, orbit, write_picture

UID = "5bf18642c50e6f7f8bdbd492"
K = np.array([[40.0, 0, 24], [0, 41, 18], [0, 0, 1]])


def build(root: Path) -> str:
    folder = root / "blended-mvs" / UID
    (folder / "cams").mkdir(parents=True)
    for view in range(3):
        for suffix in ("", "_masked"):
            write_picture(folder / f"blended_images/{view:08}{suffix}.jpg", 36, 48)
        camera = f"extrinsic\n{as_text(homogeneous(orbit(view / 5)))}\n\nintrinsic\n{as_text(K)}\n\n1.5 0.02 128 9.5\n"
        (folder / f"cams/{view:08}_cam.txt").write_text(camera)
    return "blended_mvs/building/half"
