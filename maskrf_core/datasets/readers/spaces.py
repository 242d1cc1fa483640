"""Scenes of Spaces (Flynn et al., CVPR 2019): a rig of cameras at several places, described by models.json."""

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.files.checked_files import (
    check_intrinsics,
    check_w2c,
    find_scene_folder,
    path_inside,
    read_json_list,
    scene_folders,
)
from maskrf_core.datasets.files.image_files import image_size, read_rgb
from maskrf_core.datasets.readers.scene_ids import look_up, training_split
from maskrf_core.datasets.readers.scene_names import name_parts
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.errors import DatasetError

FOLDER = Path("spaces_dataset/data/800")
DEPTH_RANGE = (0.7, 100.0)
LARGEST_SIDE = 100_000
FIELDS = {
    "width": 1,
    "height": 1,
    "focal_length": 1,
    "pixel_aspect_ratio": 1,
    "principal_point": 2,
    "position": 3,
    "orientation": 3,
}
"""What models.json says of a camera, and how many numbers each takes."""


class _View(NamedTuple):
    path: Path
    K: Float[np.ndarray, "3 3"]
    listed_size: tuple[float, float]
    w2c: Float[np.ndarray, "3 4"]


class SpacesScene:
    """`space/<scene>`: images as they are, possibly of unequal size; ids are `<place of the rig>-<camera>`.

    Implements `maskrf_core.datasets.scene.Scene`. Opening it reads models.json and looks for the images it lists. An
    image of another size than models.json says (scenes 008, 038, 039) has its intrinsics scaled to what it is.

    Raises:
        DatasetError: models.json is missing or broken, or an image that it lists is missing.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """All scenes below `data_root`."""
        return [f"space/{folder.name}" for folder in scene_folders([data_root / FOLDER])]

    def __init__(self, name: str, data_root: Path):
        (scene,) = name_parts(name, "space/<scene>", "space/scene_000")
        self.name = name
        self.folder = find_scene_folder(name, scene, [data_root / FOLDER])
        self._cache = data_root / "colmap_forward_cache/space" / scene / "dense_out/stereo/depth_maps"
        self._views = _read_views(self.folder)
        self.image_ids = list(self._views)
        self._sizes: dict[str, tuple[int, int]] = {}

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB; `DatasetError` if the file is broken."""
        return read_rgb(self._view(image_id).path)

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        (height, width), view = self._size(image_id), self._view(image_id)
        return np.diag([width / view.listed_size[1], height / view.listed_size[0], 1.0]) @ view.K

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._view(image_id).w2c.copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        self._view(image_id)
        return DEPTH_RANGE

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """All True: everything is foreground."""
        return np.ones(self._size(image_id), bool)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """COLMAP's map where it is kept, beyond far put there; otherwise None."""
        path = self._cache / f"{image_id}.jpg.geometric.bin"
        return kept_colmap_depth(path, self._size(image_id), far=DEPTH_RANGE[1])

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """To train on, every image is query and reference; otherwise every 8th, from the first, is a query."""
        return training_split(self.image_ids, kind)

    def _view(self, image_id: str) -> _View:
        return look_up(self._views, image_id, self.name)

    def _size(self, image_id: str) -> tuple[int, int]:
        """(height, width), from the image's header."""
        if image_id not in self._sizes:
            self._sizes[image_id] = image_size(self._view(image_id).path)
        return self._sizes[image_id]


def _read_views(folder: Path) -> dict[str, _View]:
    listing = folder / "models.json"
    rigs = read_json_list(listing)
    if not rigs or not all(isinstance(rig, list) and rig for rig in rigs):
        raise DatasetError(f"{listing}: a list of lists of cameras was expected. Unpack the data set again.")
    return {
        f"{place}-{number}": _read_view(folder, camera, f"{listing}, place {place}, camera {number}")
        for place, rig in enumerate(rigs)
        for number, camera in enumerate(rig)
    }


def _read_view(folder: Path, camera: Any, where: str) -> _View:
    listed = camera.get("relative_path") if isinstance(camera, dict) else None
    if not isinstance(listed, str):
        raise DatasetError(f"{where}: has no relative_path. Unpack the data set again.")
    path = path_inside(folder, listed)
    if not path.is_file():
        raise DatasetError(f"{where}: lists {listed}, but {path} is missing. Unpack the data set again.")
    values = {field: _numbers(camera, field, count, where) for field, count in FIELDS.items()}
    (focal,), (aspect,), (x, y) = (values[key] for key in ("focal_length", "pixel_aspect_ratio", "principal_point"))
    K = np.array([[focal, 0, x], [0, focal * aspect, y], [0, 0, 1]])
    rotation = cv2.Rodrigues(values["orientation"])[0]
    w2c = np.concatenate([rotation, -rotation @ values["position"][:, None]], axis=1)
    size = float(values["height"][0]), float(values["width"][0])
    if not 0 < min(size) <= max(size) <= LARGEST_SIDE:
        raise DatasetError(
            f"{where}: width and height must be positive and no more than {LARGEST_SIDE}. Unpack the data set again."
        )
    check_intrinsics(K, where)
    check_w2c(w2c, where)
    return _View(path, K, size, w2c)


def _numbers(camera: dict[str, Any], field: str, count: int, where: str) -> Float[np.ndarray, "{count}"]:
    try:
        numbers = np.array(camera[field], np.float64).reshape(-1)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{where}: {field} is missing or not made of numbers. Unpack the data set again.") from error
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise DatasetError(f"{where}: {field} is not {count} finite number(s). Unpack the data set again.")
    return numbers
