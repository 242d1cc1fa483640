"""Frames, which readers return, and the sizes that scenes are opened at."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from maskrf_core.datasets.data_set import DataSet
from maskrf_core.datasets.files.image_files import image_size, list_images
from maskrf_core.support.errors import DatasetError


@dataclass(frozen=True)
class NamedScene:
    """A scene that was asked for by name, as its reader gets it."""

    name: str
    data_set: DataSet
    words: tuple[str, ...]
    """Words of the name that fill the placeholders of its data set's pattern; the first one is the scene's own."""
    data_root: Path
    folder: Path  # folder of the scene, which is there; the data root itself where the data set has no folders


@dataclass(frozen=True)
class Frame:
    """One image of a scene, its camera and what is known of its depth.

    Every field but the id may be a function without arguments, which reads the value when it is first asked for; what
    it returns is kept, pictures excepted. Reading raises `DatasetError`, which names the file and a remedy.
    """

    image_id: str
    image: Path | Callable[[], UInt8[np.ndarray, "height width 3"]]
    """RGB; of a file as it is, which must have the frame's size, the path."""
    K: Any  # 3×3 intrinsics of the image as returned, in pixels; the centre of the first pixel is (0, 0)
    w2c: Any  # 3×4 world to camera, OpenCV axes
    depth_range: Any  # (near, far) in scene units, 0 < near < far
    size: Any  # (height, width) of the image as returned
    mask: Callable[[], Bool[np.ndarray, "height width"]] | None = None  # true on the foreground; None: everywhere
    depth: Callable[[], Float32[np.ndarray, "height width"] | None] | None = None
    """z-depth, 0 where unknown; None: COLMAP's, where the data set's record says where that is kept."""
    file: str = ""  # name of the image's file, where depth maps are called after it


def downscale_ratio(name: str, asked: str, native: int) -> float:
    """Return the side that a scene's name asks for over the images' own, in (0, 1]; 1 for `raw`.

    Raises `DatasetError` where more is asked for than there is.
    """
    if asked != "raw" and int(asked) > native:
        raise DatasetError(
            f"{name}: {asked} pixels are asked for, but the images have {native} and are never enlarged. Open "
            f"{name[: -len(asked)]}{native} instead."
        )
    return 1.0 if asked == "raw" else int(asked) / native


def listed_width(images: Path, published: int) -> int:
    """Return the width to list a scene at: the published one, or that of the folder's first image where it is smaller.

    The published one too where no image can be read, which is said when the scene is opened.
    """
    try:
        return min(published, image_size(list_images(images)[0])[1])
    except DatasetError:
        return published
