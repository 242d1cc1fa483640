"""Forward-facing photographs in the layout of Local Light Field Fusion: poses_bounds.npy and images_<factor>."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.files.checked_files import find_scene_folder, scene_folders
from maskrf_core.datasets.files.image_files import read_rgb
from maskrf_core.datasets.readers.llff_capture import LlffCapture, parse_factor
from maskrf_core.datasets.readers.scene_ids import every_eighth, look_up
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.errors import printable

FOLDERS = ("nerf_llff_data", "nerf_llff")
"""Below the data root: as the archive unpacks, and under the layout's own name."""


class NerfLlffScene:
    """`nerf_llff/<scene>/<factor>`: the images of `images_<factor>` (of `images` for factor 1), ids are file stems.

    Implements `maskrf_core.datasets.scene.Scene`. Opening it reads the poses and the header of every image. Scene
    units: the nearest bound of the capture is at 4/3, the average camera at the origin.

    Raises:
        DatasetError: a file is missing or broken, images and poses differ in number, the images' size does not fit
            the factor.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """All scenes below `data_root`, at factor 8."""
        scenes = dict.fromkeys(folder.name for folder in scene_folders(data_root / name for name in FOLDERS))
        return [f"nerf_llff/{scene}/8" for scene in scenes]

    def __init__(self, name: str, data_root: Path):
        scene, factor = parse_factor(name, "nerf_llff/fern/8")
        self.name = name
        self.folder = find_scene_folder(name, scene, [data_root / folder for folder in FOLDERS])
        self._capture = LlffCapture(self.folder, factor)
        self.image_ids = [printable(path.stem) for path in self._capture.paths]
        self._rows = {image_id: row for row, image_id in enumerate(self.image_ids)}

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB; `DatasetError` if the file is broken."""
        return read_rgb(self._capture.paths[self._row(image_id)], self._capture.size)

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        """One focal length, scaled from the photographs' size to the images'; the centre is (W/2, H/2)."""
        self._row(image_id)
        height, width = self._capture.size
        focal = self._capture.poses.focal * width / self._capture.poses.width
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
        self._row(image_id)
        return None

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """Queries are every 8th image from the first, references the rest; training uses the references only."""
        references, queries = every_eighth(self.image_ids)
        return references, list(references) if kind == "train" else queries

    def _row(self, image_id: str) -> int:
        return look_up(self._rows, image_id, self.name)
