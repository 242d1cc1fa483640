"""Files of COLMAP's dense depth maps (`*.geometric.bin`), read as the published system read them."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32

from maskrf_core.datasets.files.checked_files import read_bytes
from maskrf_core.support.errors import DatasetError

LARGEST_SIDE = 100_000  # pixels; a header that says more is taken for damage
SHAPE_TOLERANCE = 0.02  # relative difference between the shapes of a map and its image, beside that of rounded sides


def kept_colmap_depth(
    path: Path, size: tuple[int, int], *, far: float | None = None, any_shape: bool = False
) -> Float32[np.ndarray, "height width"] | None:
    """Read the dense map at `path`, brought to `size` (height, width) by nearest; None where there is no such file.

    What is not finite or not positive is unknown (0); what lies beyond `far` is put there, as published.
    `any_shape` is for images that are themselves stretched to `size`.

    Raises:
        DatasetError: the file is no dense map, is cut short, or is of another shape than `size`.
    """
    if not path.is_file():
        return None
    depth = read_colmap_depth(path)
    (height, width), (wanted_height, wanted_width) = depth.shape, size
    difference = abs(height / width * wanted_width / wanted_height - 1)
    if not any_shape and difference > SHAPE_TOLERANCE + 1 / min(*depth.shape, *size):
        raise DatasetError(
            f"{path}: the depth map is {width}×{height}, of another shape than its image ({wanted_width}×"
            f"{wanted_height}), so it is not of this image as it is. Remove it, or make it again from this image."
        )
    if depth.shape != size:
        depth = cv2.resize(depth, size[::-1], interpolation=cv2.INTER_NEAREST)
    depth = np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))
    return depth if far is None else np.minimum(depth, np.float32(far))


def read_colmap_depth(path: str | Path) -> Float32[np.ndarray, "height width"]:
    """Read a COLMAP dense map: z-depth, 0 where unknown; `DatasetError` if it is missing, cut short or none."""
    path = Path(path)
    data = read_bytes(path)
    try:
        *words, numbers = data.split(b"&", 3)
        width, height, channels = (int(word) for word in words)
    except ValueError as error:
        what = "does not begin with width&height&channels&, so it is no dense map"
        raise DatasetError(f"{path}: {what}. Copy it again.") from error
    fits = 0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE and channels == 1
    if not fits or len(numbers) != 4 * width * height:
        found = f"its header says {width}×{height} with {channels} channels, {len(numbers)} bytes follow"
        raise DatasetError(f"{path}: {found}, so it is no whole depth map. Copy it again.")
    return np.frombuffer(numbers, "<f4").reshape(height, width).astype(np.float32)
