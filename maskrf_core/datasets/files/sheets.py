"""Scenes in sheets: `cameras.json` (ids, K, w2c, depth ranges), `images.webp` and, of what is rendered, `depths.png`
(16 bit), both with all views tiled row by row. The demo scenes come so, and procedural ones are made so."""

import json
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt16

from maskrf_core.datasets.data_set import Frame
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.errors import DatasetError

TILES_PER_ROW = 5
DEPTH_LEVELS = 2**13 - 1
"""Stored depth is 0 (background) or 1 + (DEPTH_LEVELS - 1) u, u the normalised inverse depth in the view's range: an
error below 1e-4 of the depth, and fewer bytes than all 16 bits would take."""
LOSSLESS = 101  # of WebP
CAMERAS, IMAGES, DEPTHS = "cameras.json", "images.webp", "depths.png"


def encode_depth(
    depth: Float[np.ndarray, "height width"], depth_range: tuple[float, float]
) -> UInt16[np.ndarray, "height width"]:
    """Turn depth (0 = background, else within the range) into its stored levels."""
    near, far = depth_range
    inverse = 1 / np.where(depth > 0, depth, near)
    level = 1 + np.round((1 / near - inverse) / (1 / near - 1 / far) * (DEPTH_LEVELS - 1))
    return np.where(depth > 0, level, 0).astype(np.uint16)


def decode_depth(
    levels: UInt16[np.ndarray, "height width"], depth_range: tuple[float, float]
) -> Float32[np.ndarray, "height width"]:
    """Turn stored levels into depth, as `encode_depth` made them."""
    near, far = depth_range
    inverse = 1 / near - (levels.astype(np.float64) - 1) / (DEPTH_LEVELS - 1) * (1 / near - 1 / far)
    return np.where(levels > 0, 1 / inverse, 0).astype(np.float32)


def read_sheets(name: str, folder: Path, remedy: str, *, step: int = 1, photographs: bool = False) -> list[Frame]:
    """Return the frames of a scene in sheets; depth is exact to 1e-4, and the mask is where there is any.

    Photographs have neither.

    Of pictures every `step`-th pixel counts in x and y, from the first one on: no pixel is a mixture of others, so
    that depth stays exact.

    Raises:
        DatasetError: a file is missing or broken; the message ends with the remedy.
    """
    try:
        cameras = json.loads((folder / CAMERAS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(name, folder / CAMERAS, remedy) from error
    sheet = partial(_read_sheet, name, remedy, views=len(cameras))
    images = cache(partial(sheet, folder / IMAGES, cv2.IMREAD_COLOR))
    depths = cache(partial(sheet, folder / DEPTHS, cv2.IMREAD_UNCHANGED))

    def frame(number: int, image_id: str, camera: Mapping[str, Any]) -> Frame:
        depth_range, size = tuple(camera["depth_range"]), -(-round(2 * camera["K"][0][2] + 1) // step)
        K = np.asarray(camera["K"], np.float64) / [[step], [step], [1]]  # the first pixel's centre stays (0, 0)

        def tile(sheet: np.ndarray) -> np.ndarray:
            return _tile(sheet, number)[::step, ::step]

        of_depth = {"mask": lambda: tile(depths()) > 0, "depth": lambda: decode_depth(tile(depths()), depth_range)}
        return Frame(
            image_id,
            lambda: tile(images())[..., ::-1].copy(),
            K,
            camera["w2c"],
            depth_range,
            (size, size),
            **({} if photographs else of_depth),
        )

    try:
        return [frame(number, *named) for number, named in enumerate(cameras.items())]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise _broken(name, folder / CAMERAS, remedy) from error


def write_sheets(
    folder: Path,
    cameras: Mapping[str, Mapping[str, list]],
    images: list[np.ndarray],
    depths: list[UInt16[np.ndarray, "height width"]],
    quality: int,
) -> None:
    """Write a scene: BGR images at a WebP quality (or `LOSSLESS`), encoded depths; the cameras last, when all is there.

    Raises:
        OSError: the disk is full, for example; what was there before is whole.
    """
    lines = ",\n".join(f"{json.dumps(image_id)}: {json.dumps(camera)}" for image_id, camera in cameras.items())
    smallest = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
    contents = {
        IMAGES: cv2.imencode(".webp", _tiled(images), [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes(),
        DEPTHS: cv2.imencode(".png", _tiled(depths), smallest)[1].tobytes(),
        CAMERAS: f"{{\n{lines}\n}}\n".encode(),
    }
    for name, content in contents.items():
        write_atomically(folder / name, lambda file, content=content: file.write(content))


def _tiled(pictures: list[np.ndarray]) -> np.ndarray:
    empty = [np.zeros_like(pictures[0])] * (-len(pictures) % TILES_PER_ROW)
    pictures = [*pictures, *empty]
    return np.vstack([np.hstack(pictures[i : i + TILES_PER_ROW]) for i in range(0, len(pictures), TILES_PER_ROW)])


def _read_sheet(name: str, remedy: str, path: Path, flag: int, *, views: int) -> np.ndarray:
    sheet = cv2.imread(str(path), flag) if path.is_file() else None
    if sheet is None or sheet.shape[0] * TILES_PER_ROW < sheet.shape[1] * -(-views // TILES_PER_ROW):
        raise _broken(name, path, remedy)
    return sheet


def _tile(sheet: np.ndarray, number: int) -> np.ndarray:
    row, column = divmod(number, TILES_PER_ROW)
    size = sheet.shape[1] // TILES_PER_ROW
    return sheet[row * size : (row + 1) * size, column * size : (column + 1) * size]


def _broken(name: str, path: Path, remedy: str) -> DatasetError:
    return DatasetError(f"{name}: {path} {'cannot be read' if path.exists() else 'is missing'}; {remedy}")
