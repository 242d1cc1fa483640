"""Writing of COLMAP's dense depth maps."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from maskrf_core.support.atomic_files import write_atomically


def write_colmap_depth(path: str | Path, depth: Float32[np.ndarray, "height width"]) -> None:
    """Write a depth map as COLMAP does."""
    height, width = depth.shape
    header = f"{width}&{height}&1&".encode()
    write_atomically(Path(path), lambda file: file.write(header + depth.astype("<f4").tobytes()))
