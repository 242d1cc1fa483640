"""Blender scenes of NeRF (Mildenhall et al., ECCV 2020): RGBA renders and transforms_{train,val,test}.json."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from maskrf_core.datasets.files.checked_files import check_w2c, path_inside, read_json
from maskrf_core.datasets.files.image_files import read_image, shared_image_size
from maskrf_core.datasets.files.resize import downscale_image, downscale_nearest, downscaled_size, scale_intrinsics
from maskrf_core.datasets.readers.frames import Frame, NamedScene, downscale_ratio, listed_width
from maskrf_core.support.errors import DatasetError

DEPTH_RANGE = (2.0, 6.0)
PUBLISHED_WIDTH = 800
BACKGROUNDS = {"black": 0.0, "white": 1.0}
BLENDER_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])


class _Listed(NamedTuple):
    path: Path
    w2c: Float[np.ndarray, "3 4"]
    camera_angle_x: float


def read_renders(asked: NamedScene) -> list[Frame]:
    """Read `nerf_synthetic/<scene>/<black|white>_<width>`: composited on that background, then downscaled.

    Opening reads the three transforms files and the header of every image they list; ids are `<split>-r_<n>`, train
    before val before test. The mask is where alpha is above 0.

    Raises:
        DatasetError: a file is missing or broken, a listed frame is absent, the width asked for exceeds the images'.
    """
    _, background, width = asked.words
    listed = {}
    for split in ("train", "val", "test"):
        listed |= _read_frames(asked.folder, split)
    native = shared_image_size([each.path for each in listed.values()])
    ratio = downscale_ratio(asked.name, width, native[1])

    def frame(image_id: str, path: Path, w2c: Float[np.ndarray, "3 4"], camera_angle_x: float) -> Frame:
        focal = native[1] / 2 / math.tan(camera_angle_x / 2)
        K = np.array([[focal, 0, native[1] / 2], [0, focal, native[0] / 2], [0, 0, 1]])

        def image() -> UInt8[np.ndarray, "height width 3"]:
            return downscale_image(_composite(_read_rgba(path), BACKGROUNDS[background]), ratio)

        def mask() -> Bool[np.ndarray, "height width"]:
            return downscale_nearest(_read_rgba(path)[..., 3] > 0, ratio)

        size = downscaled_size(*native, ratio)
        return Frame(image_id, image, scale_intrinsics(K, ratio), w2c, DEPTH_RANGE, size, mask)

    return [frame(image_id, *each) for image_id, each in listed.items()]


def scene_names(folders: list[Path]) -> list[str]:
    """List scenes on black, at the published width, or at their own where that is smaller."""
    return [f"nerf_synthetic/{path.name}/black_{listed_width(path / 'train', PUBLISHED_WIDTH)}" for path in folders]


def _composite(rgba: UInt8[np.ndarray, "height width 4"], background: float) -> UInt8[np.ndarray, "height width 3"]:
    """Composite in the order in which float32 rounds as when the published checkpoints' images were made."""
    colour, alpha = np.split(rgba.astype(np.float32) / 255, [3], axis=-1)
    return ((colour * alpha + background - background * alpha) * 255).astype(np.uint8)


def _read_rgba(path: Path) -> UInt8[np.ndarray, "height width 4"]:
    image = read_image(path)
    if image.shape[2] != 4:
        raise DatasetError(f"{path}: has no alpha channel, which masks the object. Use the original RGBA renders.")
    return image


def _read_frames(folder: Path, split: str) -> dict[str, _Listed]:
    listing = folder / f"transforms_{split}.json"
    content = read_json(listing)
    angle, entries = content.get("camera_angle_x"), content.get("frames")
    if isinstance(angle, bool) or not isinstance(angle, int | float) or not 0 < angle < math.pi:
        raise DatasetError(
            f"{listing}: camera_angle_x is {angle!r}, an angle in (0, π) radians was expected. Correct it."
        )
    if not isinstance(entries, list) or not entries:
        raise DatasetError(f"{listing}: 'frames' is not a list of at least one frame. Unpack the data set again.")
    frames: dict[str, _Listed] = {}
    for number, entry in enumerate(entries):
        path = _image_path(folder, listing, number, entry)
        image_id = f"{split}-{path.stem}"
        if image_id in frames:
            raise DatasetError(f"{listing}: lists {entry['file_path']} twice. Remove one of the two frames.")
        frames[image_id] = _Listed(path, _w2c(entry, f"{listing}, frame {number} ({path.stem})"), float(angle))
    return frames


def _image_path(folder: Path, listing: Path, number: int, entry: Any) -> Path:
    listed = entry.get("file_path") if isinstance(entry, dict) else None
    if not isinstance(listed, str):
        raise DatasetError(f"{listing}: frame {number} has no file_path. Unpack the data set again.")
    path = path_inside(folder, listed if listed.endswith(".png") else f"{listed}.png")
    if not path.is_file():
        raise DatasetError(
            f"{folder}: {listing.name} lists {listed}, but {path} is missing. "
            "Unpack the archive again, or remove the frame from the list."
        )
    return path


def _w2c(entry: dict[str, Any], where: str) -> Float[np.ndarray, "3 4"]:
    try:
        c2w = np.array(entry["transform_matrix"], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{where}: transform_matrix is not a matrix of numbers. Unpack it again.") from error
    if c2w.shape != (4, 4) or not np.allclose(c2w[3], [0, 0, 0, 1]):
        raise DatasetError(f"{where}: transform_matrix is not 4×4 with last row 0 0 0 1. Unpack the data set again.")
    check_w2c(c2w[:3], where)
    return np.linalg.inv(c2w @ BLENDER_TO_OPENCV)[:3]
