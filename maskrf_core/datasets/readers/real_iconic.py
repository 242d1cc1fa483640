"""Forward-facing captures without faces from LLFF's release, as IBRNet published them (real_iconic_noface)."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.files.checked_files import find_scene_folder, scene_folders
from maskrf_core.datasets.files.image_files import read_rgb
from maskrf_core.datasets.readers.llff_capture import LlffCapture, parse_factor
from maskrf_core.datasets.readers.scene_ids import look_up, training_split
from maskrf_core.datasets.scene import SplitKind

FOLDER = "real_iconic_noface"
DEPTH_SUFFIXES = (".jpg", ".png")
"""Kept depth maps bear the suffix of the images that they were made from, which differs by factor."""


class RealIconicScene:
    """`real_iconic/<scene>/<factor>`: the images of `images_<factor>`; ids are "0", "1", … in the files' order.

    Implements `maskrf_core.datasets.scene.Scene`. Opening it reads the poses and the header of every image. Scene
    units: the nearest bound of the capture is at 4/3, the average camera at the origin.

    Raises:
        DatasetError: a file is missing or broken, images and poses differ in number, the images' size does not fit
            the factor.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """All scenes below `data_root`, at the published factor, 4."""
        return [f"real_iconic/{folder.name}/4" for folder in scene_folders([data_root / FOLDER])]

    def __init__(self, name: str, data_root: Path):
        scene, self._factor = parse_factor(name, "real_iconic/zen/4")
        self.name = name
        self.folder = find_scene_folder(name, scene, [data_root / FOLDER])
        cache = data_root / "colmap_forward_cache/real_iconic" / scene / str(self._factor)
        self._cache = cache / "dense_out/stereo/depth_maps"
        self._capture = LlffCapture(self.folder, self._factor)
        self._rows = {str(row): row for row in range(len(self._capture.paths))}
        self.image_ids = list(self._rows)

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB; `DatasetError` if the file is broken."""
        return read_rgb(self._capture.paths[self._row(image_id)], self._capture.size)

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        """The photographs' focal length over the factor, as published, even where the factor does not divide the size
        evenly; the centre is (W/2, H/2)."""
        self._row(image_id)
        height, width = self._capture.size
        focal = self._capture.poses.focal / self._factor
        return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._capture.poses.w2c[self._row(image_id)].copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        return self._capture.depth_range(self._row(image_id))

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """All True: everything is foreground in these captures."""
        self._row(image_id)
        return np.ones(self._capture.size, bool)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """COLMAP's map where it is kept, beyond far put there; otherwise None."""
        far = self._capture.depth_range(self._row(image_id))[1]
        for suffix in DEPTH_SUFFIXES:
            path = self._cache / f"{image_id}{suffix}.geometric.bin"
            if (depth := kept_colmap_depth(path, self._capture.size, far=far)) is not None:
                return depth
        return None

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """To train on, every image is query and reference; otherwise every 8th, from the first, is a query."""
        return training_split(self.image_ids, kind)

    def _row(self, image_id: str) -> int:
        return look_up(self._rows, image_id, self.name)
