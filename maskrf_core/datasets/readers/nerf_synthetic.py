"""Blender scenes of NeRF (Mildenhall et al., ECCV 2020): RGBA renders and transforms_{train,val,test}.json."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.files.checked_files import check_w2c, find_scene_folder, path_inside, read_json, scene_folders
from maskrf_core.datasets.files.image_files import read_image, shared_image_size
from maskrf_core.datasets.files.resize import downscale_image, downscale_nearest, downscaled_size, scale_intrinsics
from maskrf_core.datasets.readers.scene_ids import look_up
from maskrf_core.datasets.readers.scene_names import downscale_ratio, listed_width, parse_variant
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.errors import DatasetError

DEPTH_RANGE = (2.0, 6.0)
PUBLISHED_WIDTH = 800
BACKGROUNDS = {"black": 0.0, "white": 1.0}
VALIDATION_NUMBERS = (39, 2, 94, 62, 23, 36)
"""The validation frames of the published training (NeuRay)."""
BLENDER_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class _Frame:
    path: Path
    w2c: Float[np.ndarray, "3 4"]
    camera_angle_x: float


class NerfSyntheticScene:
    """`nerf_synthetic/<scene>/<black|white>_<width>`: composited on that background, downscaled to that width.

    Implements `maskrf_core.datasets.scene.Scene`. Opening it reads the three transforms files and the header of every
    image they list; ids are `<split>-r_<n>`, train before val before test.

    Raises:
        DatasetError: a file is missing or broken, a listed frame is absent, the width asked for exceeds the images'.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """All scenes below `data_root`, on black, at the published width, or at their own where that is smaller."""
        folders = scene_folders([data_root / "nerf_synthetic"])
        widths = [listed_width(folder / "train", PUBLISHED_WIDTH) for folder in folders]
        return [f"nerf_synthetic/{folder.name}/black_{width}" for folder, width in zip(folders, widths, strict=True)]

    def __init__(self, name: str, data_root: Path):
        scene, background, width = parse_variant(name, "nerf_synthetic/lego/black_400")
        self.name = name
        self.folder = find_scene_folder(name, scene, [data_root / "nerf_synthetic"])
        self._background = BACKGROUNDS[background]
        self._frames: dict[str, _Frame] = {}
        for split in ("train", "val", "test"):
            self._frames |= _read_frames(self.folder, split)
        self.image_ids = list(self._frames)
        self._native_size = shared_image_size([frame.path for frame in self._frames.values()])
        self._has_warned = False
        self._ratio = downscale_ratio(name, width, self._native_size[1])

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB composited on the background, then downscaled; `DatasetError` if the file is broken."""
        rgba = self._rgba(image_id).astype(np.float32) / 255
        colour, alpha = rgba[..., :3], rgba[..., 3:]
        # In this order float32 rounds as it did when the published checkpoints' images were made.
        composite = colour * alpha + self._background - self._background * alpha
        return downscale_image((composite * 255).astype(np.uint8), self._ratio)

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        height, width = self._native_size
        focal = width / 2 / math.tan(self._frame(image_id).camera_angle_x / 2)
        native = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return scale_intrinsics(native, self._ratio)

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._frame(image_id).w2c.copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        self._frame(image_id)
        return DEPTH_RANGE

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """Where alpha > 0."""
        return downscale_nearest(self._rgba(image_id)[..., 3] > 0, self._ratio)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """COLMAP's map where one is in the scene's folder, 0 outside the mask; otherwise None."""
        self._frame(image_id)
        size = downscaled_size(*self._native_size, self._ratio)
        depth = kept_colmap_depth(self.folder / f"colmap_depth/{image_id}.png.geometric.bin", size)
        return None if depth is None else np.where(self.mask(image_id), depth, np.float32(0))

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """References are always the train frames. Validation queries are the published six, as far as they exist."""
        train = [image_id for image_id in self.image_ids if image_id.startswith("train-")]
        if kind == "train":
            return train, list(train)
        if kind == "test":
            return train, [image_id for image_id in self.image_ids if image_id.startswith("test-")]
        return train, self._validation_queries()

    def _validation_queries(self) -> list[str]:
        wanted = [f"val-r_{number}" for number in VALIDATION_NUMBERS]
        present = [image_id for image_id in wanted if image_id in self._frames]
        if len(present) < len(wanted) and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"{self.name}: transforms_val.json does not list the validation frames "
                f"{', '.join(sorted(set(wanted) - set(present), key=wanted.index))}; validating on {len(present)}.",
                stacklevel=3,
            )
        return present

    def _frame(self, image_id: str) -> _Frame:
        return look_up(self._frames, image_id, self.name)

    def _rgba(self, image_id: str) -> UInt8[np.ndarray, "height width 4"]:
        path = self._frame(image_id).path
        image = read_image(path)
        if image.shape[2] != 4:
            raise DatasetError(f"{path}: has no alpha channel, which masks the object. Use the original RGBA renders.")
        return image


def _read_frames(folder: Path, split: str) -> dict[str, _Frame]:
    listing = folder / f"transforms_{split}.json"
    content = read_json(listing)
    angle, entries = content.get("camera_angle_x"), content.get("frames")
    if isinstance(angle, bool) or not isinstance(angle, int | float) or not 0 < angle < math.pi:
        raise DatasetError(
            f"{listing}: camera_angle_x is {angle!r}, an angle in (0, π) radians was expected. Correct it."
        )
    if not isinstance(entries, list) or not entries:
        raise DatasetError(f"{listing}: 'frames' is not a list of at least one frame. Unpack the data set again.")
    frames: dict[str, _Frame] = {}
    for number, entry in enumerate(entries):
        path = _image_path(folder, listing, number, entry)
        image_id = f"{split}-{path.stem}"
        if image_id in frames:
            raise DatasetError(f"{listing}: lists {entry['file_path']} twice. Remove one of the two frames.")
        frames[image_id] = _Frame(path, _w2c(entry, f"{listing}, frame {number} ({path.stem})"), float(angle))
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
