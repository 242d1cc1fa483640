"""Scenes of BlendedMVS (Yao et al., CVPR 2020): blended images with the object masked, and MVSNet's camera files."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from maskrf_core.datasets.files.checked_files import (
    check_depth_range,
    check_intrinsics,
    check_w2c,
    parse_numbers,
    read_text,
)
from maskrf_core.datasets.files.image_files import image_size, list_images, read_rgb
from maskrf_core.datasets.files.resize import downscale_image, downscaled_size, scale_intrinsics
from maskrf_core.datasets.readers.frames import Frame, NamedScene
from maskrf_core.support.errors import DatasetError

MASKED = "_masked"
RATIO = 0.5
NEAR_MARGIN, FAR_MARGIN = 0.8, 1.2


def read_blended_scene(asked: NamedScene) -> list[Frame]:
    """Read `blended_mvs/<scene>/half`: masked images at half their size; ids "0", "1", … in the files' order.

    Opening reads all camera files and the header of the first image; the others' size is checked when they are read.
    The mask is where any channel of the downscaled image is above 0; depth ranges have a fifth of margin.

    Raises:
        DatasetError: a file is missing or broken.
    """
    images = asked.folder / "blended_images"
    paths = [path for path in list_images(images) if path.stem.endswith(MASKED)]
    if not paths:
        raise DatasetError(f"{images}: holds no *{MASKED}.jpg. Download the release with masked images.")
    native = image_size(paths[0])

    def frame(image_id: str, path: Path) -> Frame:
        K, w2c, depth_range = _read_camera(asked.folder / f"cams/{path.stem.removesuffix(MASKED)}_cam.txt")

        def image() -> UInt8[np.ndarray, "height width 3"]:
            return downscale_image(read_rgb(path, native), RATIO)

        size = downscaled_size(*native, RATIO)
        return Frame(image_id, image, scale_intrinsics(K, RATIO), w2c, depth_range, size, lambda: image().any(-1))

    return [frame(str(row), path) for row, path in enumerate(paths)]


def _read_camera(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Read (K, w2c, depth range) of `extrinsic` and 4×4, `intrinsic` and 3×3, nearest depth, step, count, farthest."""
    words = read_text(path).split()
    if len(words) != 31 or (words[0], words[17]) != ("extrinsic", "intrinsic"):
        raise DatasetError(
            f"{path}: 'extrinsic' and 16 numbers, 'intrinsic' and 9 numbers, and 4 numbers of depth were expected. "
            "Unpack the data set again."
        )
    numbers = parse_numbers(words[1:17] + words[18:], str(path))
    w2c, K, (nearest, _, _, farthest) = numbers[:12].reshape(3, 4), numbers[16:25].reshape(3, 3), numbers[25:]
    depth_range = float(nearest) * NEAR_MARGIN, float(farthest) * FAR_MARGIN
    check_w2c(w2c, str(path))
    check_intrinsics(K, str(path))
    check_depth_range(*depth_range, str(path))
    return K, w2c, depth_range
