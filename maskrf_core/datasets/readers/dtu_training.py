"""DTU scans to train on: photographs as they were published for training, with cameras.npz."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.files.checked_files import find_scene_folder, scene_folders
from maskrf_core.datasets.files.image_files import image_size, list_images, read_rgb
from maskrf_core.datasets.places import HELD_OUT_SCANS
from maskrf_core.datasets.readers.dtu_cameras import DtuCamera, read_dtu_cameras
from maskrf_core.datasets.readers.scene_ids import look_up, training_split
from maskrf_core.datasets.readers.scene_names import name_parts
from maskrf_core.datasets.scene import SplitKind

FOLDER = "dtu_train"
DEPTH_RANGE = (0.8, 4.0)


class DtuTrainScene:
    """`dtu_train/<scan>`: the images as they are (published at 400×300); ids are "0", "1", … in the files' order.

    Implements `maskrf_core.datasets.scene.Scene`. Opening it reads the cameras and the header of the first image; the
    others' size is checked when they are read.

    Raises:
        DatasetError: a file is missing or broken, or images and cameras differ in number.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """The scans below `data_root` that are not held out."""
        folders = scene_folders([data_root / FOLDER])
        return [f"dtu_train/{folder.name}" for folder in folders if folder.name not in HELD_OUT_SCANS]

    def __init__(self, name: str, data_root: Path):
        (scan,) = name_parts(name, "dtu_train/<scan>", "dtu_train/scan1")
        self.name = name
        self.folder = find_scene_folder(name, scan, [data_root / FOLDER])
        self._cache = data_root / "colmap_dtu_cache/dtu_train" / scan / "dense/stereo/depth_maps"
        paths = list_images(self.folder / "image")
        cameras = read_dtu_cameras(self.folder / "cameras.npz", len(paths))
        self.image_ids = [str(row) for row in range(len(paths))]
        self._views = dict(zip(self.image_ids, zip(paths, cameras, strict=True), strict=True))
        self._size = image_size(paths[0])

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB; `DatasetError` if the file is broken or of another size than the first."""
        return read_rgb(self._view(image_id)[0], self._size)

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        return self._view(image_id)[1].K.copy()

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._view(image_id)[1].w2c.copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        self._view(image_id)
        return DEPTH_RANGE

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """All True: the scans to train on are used with their surroundings."""
        self._view(image_id)
        return np.ones(self._size, bool)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """COLMAP's map where it is kept, beyond far put there; otherwise None."""
        self._view(image_id)
        return kept_colmap_depth(self._cache / f"{image_id}.jpg.geometric.bin", self._size, far=DEPTH_RANGE[1])

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """To train on, every image is query and reference; otherwise every 8th, from the first, is a query."""
        return training_split(self.image_ids, kind)

    def _view(self, image_id: str) -> tuple[Path, DtuCamera]:
        return look_up(self._views, image_id, self.name)
