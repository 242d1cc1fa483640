"""A prepared capture: a folder of PNG images without distortion, and `cameras.json` with their pinhole cameras."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.files.checked_files import (
    check_depth_range,
    check_intrinsics,
    check_w2c,
    path_inside,
    read_json,
)
from maskrf_core.datasets.files.image_files import read_image
from maskrf_core.datasets.files.scene_names import look_up
from maskrf_core.datasets.splits import EveryNth, SplitKind
from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.errors import DatasetError

CAMERAS = "cameras.json"


@dataclass(frozen=True)
class PreparedView:
    """One image, `file` in the folder, and its camera; K has the centre of the first pixel at (0, 0)."""

    image_id: str
    file: str
    K: Float[np.ndarray, "3 3"]
    w2c: Float[np.ndarray, "3 4"]
    depth_range: tuple[float, float]


class PreparedCapture:
    """The scene of a prepared folder. Implements `maskrf_core.datasets.scene.Scene`; all images have one size."""

    def __init__(self, name: str, folder: Path, size: tuple[int, int], views: Sequence[PreparedView]):
        self.name = name
        self.folder = folder
        self.size = size
        self._views = {view.image_id: view for view in views}
        self.image_ids = list(self._views)

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """Return RGB without distortion; `DatasetError` if the prepared file is broken."""
        path = self.folder / self._view(image_id).file
        try:
            image = read_image(path)
            if image.shape == (*self.size, 3):
                return image
            reason = f"{path}: has the shape {image.shape}, {(*self.size, 3)} was expected."
        except DatasetError as error:
            reason = str(error)
        raise DatasetError(f"{reason} It was made from a photograph: delete {self.folder} and open {self.name} again.")

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        return self._view(image_id).K.copy()

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._view(image_id).w2c.copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        return self._view(image_id).depth_range

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """Return all True: captures have no masks."""
        self._view(image_id)
        return np.ones(self.size, bool)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """Return None: depth is estimated from the images."""
        self._view(image_id)
        return None

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """Return (references, queries): every 8th image, from the first, is a query; to train, references only."""
        return EveryNth(trains_on_all=False)(self.name, self.image_ids, kind)

    def _view(self, image_id: str) -> PreparedView:
        return look_up(self._views, image_id, self.name)


def write_cameras(folder: Path, size: tuple[int, int], views: Sequence[PreparedView]) -> None:
    """Write the folder's `cameras.json`; `size` is (height, width)."""
    listed = [
        {
            "id": view.image_id,
            "file": view.file,
            "K": view.K.tolist(),
            "w2c": view.w2c.tolist(),
            "depth_range": list(view.depth_range),
        }
        for view in views
    ]
    write_json(folder / CAMERAS, {"size": list(size), "views": listed})


def read_cameras(folder: Path) -> tuple[tuple[int, int], list[PreparedView]]:
    """Return ((height, width), views) of a prepared folder.

    Raises:
        DatasetError: `cameras.json` is missing or damaged.
    """
    path = folder / CAMERAS
    try:
        content = read_json(path)
        height, width = (int(side) for side in content["size"])
        views = []
        for entry in content["views"]:
            K, w2c = np.array(entry["K"], np.float64), np.array(entry["w2c"], np.float64)
            near, far = (float(depth) for depth in entry["depth_range"])
            path_inside(folder, entry["file"])
            if K.shape != (3, 3) or w2c.shape != (3, 4):
                raise ValueError(f"matrices of shapes {K.shape} and {w2c.shape}")
            check_intrinsics(K, str(path))
            check_w2c(w2c, str(path))
            check_depth_range(near, far, str(path))
            views.append(PreparedView(str(entry["id"]), entry["file"], K, w2c, (near, far)))
        if not views or len({view.image_id for view in views}) < len(views):
            raise ValueError("no views, or two of one id")
    except (DatasetError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: damaged ({error}). Delete {folder} and open the capture again.") from error
    return (height, width), views
