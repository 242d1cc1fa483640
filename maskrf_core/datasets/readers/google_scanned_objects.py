"""Renders of Google Scanned Objects as IBRNet published them: rgb, mask, depth, intrinsics and pose, file by file."""

from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.files.checked_files import (
    check_depth_range,
    check_intrinsics,
    check_w2c,
    folder_contents,
    read_matrix,
)
from maskrf_core.datasets.files.image_files import image_size, read_mask, read_rgb, read_sixteen_bits
from maskrf_core.datasets.files.resize import downscale_image, downscale_nearest, downscaled_size, scale_intrinsics
from maskrf_core.datasets.readers.frames import Frame, NamedScene, downscale_ratio, listed_width
from maskrf_core.support.errors import DatasetError

PARTS = {"rgb": ".png", "mask": ".png", "depth": ".png", "intrinsics": ".txt", "pose": ".txt"}
PUBLISHED_WIDTH = 400
OBJECT_RADIUS = 0.5 * 2**0.5 * 1.1
"""Scene units around the world's origin: half a unit square's diagonal, and a tenth more."""
DEPTH_UNITS = 1000  # steps of the depth files in one scene unit


def read_object(asked: NamedScene) -> list[Frame]:
    """Read `gso/<object>/<black|white>_<raw|width>`: on that background, downscaled to that width; ids "0", "1", ….

    Opening looks at the names of the files and the header of the first image; cameras and images are read, and their
    size and sense checked, when they are asked for. The renders' own background is white; black is put outside the
    mask before downscaling. Depth is the renders' own, 0 outside the mask.

    Raises:
        DatasetError: a file is missing or too many in one of the five folders, the first image is broken, or a width
            is asked for that exceeds the images'.
    """
    _, background, width = asked.words
    stems = _stems(asked.folder)
    native = image_size(asked.folder / f"rgb/{stems[0]}.png")
    ratio = downscale_ratio(asked.name, width, native[1])

    def frame(number: int, stem: str) -> Frame:
        paths = {part: asked.folder / part / f"{stem}{suffix}" for part, suffix in PARTS.items()}
        camera = cache(lambda: _read_camera(paths["intrinsics"], paths["pose"]))

        def native_mask() -> Bool[np.ndarray, "height width"]:
            return read_mask(paths["mask"], native)

        def image() -> UInt8[np.ndarray, "height width 3"]:
            pixels = read_rgb(paths["rgb"], native)
            if background == "black":
                pixels = np.where(native_mask()[..., None], pixels, np.uint8(0))
            return downscale_image(pixels, ratio)

        def depth() -> Float32[np.ndarray, "height width"]:
            steps = read_sixteen_bits(paths["depth"], native).astype(np.float32)
            return downscale_nearest(np.where(native_mask(), steps / DEPTH_UNITS, np.float32(0)), ratio)

        return Frame(
            image_id=str(number),
            image=image,
            K=lambda: scale_intrinsics(camera()[0], ratio),
            w2c=lambda: camera()[1],
            depth_range=lambda: _depth_range(camera()[1]),
            size=downscaled_size(*native, ratio),
            mask=lambda: downscale_nearest(native_mask(), ratio),
            depth=depth,
        )

    return [frame(number, stem) for number, stem in enumerate(stems)]


def object_names(folders: list[Path]) -> list[str]:
    """List objects at the published size: on black, 400 wide; or as wide as the first one's images."""
    width = listed_width(folders[0] / "rgb", PUBLISHED_WIDTH) if folders else PUBLISHED_WIDTH
    return [f"gso/{folder.name}/black_{width}" for folder in folders]


def _read_camera(intrinsics: Path, pose: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read (K at full size, w2c)."""
    K, c2w = read_matrix(intrinsics, 4, 4)[:3, :3], read_matrix(pose, 4, 4)
    check_intrinsics(K, str(intrinsics))
    check_w2c(c2w[:3], str(pose))
    if np.abs(c2w[3] - [0, 0, 0, 1]).max() > 1e-6:
        raise DatasetError(f"{pose}: the last row is not 0 0 0 1. Unpack the data set again.")
    w2c = np.linalg.inv(c2w)[:3]
    check_depth_range(*_depth_range(w2c), f"{pose}, which turns away from the object")
    return K, w2c


def _depth_range(w2c: Float[np.ndarray, "3 4"]) -> tuple[float, float]:
    """Return the object's extent around the depth of the world's origin; near at least a tenth of that depth."""
    depth = float(w2c[2, 3])
    return max(depth - OBJECT_RADIUS, 0.1 * depth), depth + OBJECT_RADIUS


def _stems(folder: Path) -> list[str]:
    """List 000000, 000001, …, one a file in `rgb`; each must be in all five folders, and nothing else."""
    wanted: list[str] = []
    for part, suffix in PARTS.items():
        found = {path.name for path in folder_contents(folder / part) if path.name.endswith(suffix)}
        wanted = wanted or [f"{number:06}" for number in range(len(found))]
        expected = [stem + suffix for stem in wanted]
        missing, strange = [name for name in expected if name not in found], sorted(found - set(expected))
        if missing or strange or not found:
            what = f"{missing[0]} is missing" if missing else f"{strange[0]} is one too many" if strange else "is empty"
            raise DatasetError(
                f"{folder / part}: {what}; {', '.join(PARTS)} hold the same files, numbered from 000000. "
                "Unpack the data set again."
            )
    return wanted
