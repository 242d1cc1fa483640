"""A COLMAP model of undistorted photographs, in the layout of NeuRay's example of one's own capture."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.captures.depth_ranges import depths_in, range_from_depths
from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.files.checked_files import check_depth_range, find_scene_folder, scene_folders
from maskrf_core.datasets.files.image_files import read_image, shared_image_size
from maskrf_core.datasets.files.resize import downscale_image, downscaled_size
from maskrf_core.datasets.readers.colmap_scene import PinholeModel
from maskrf_core.datasets.readers.scene_ids import training_split
from maskrf_core.datasets.readers.scene_names import misnamed, name_parts
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.errors import DatasetError

FORM, EXAMPLE = "example/<scene>/<raw|size>", "example/desk/raw"


class ExampleScene:
    """`example/<scene>/<raw|size>`: images as they are, or with their longer side downscaled to `size` pixels.

    Implements `maskrf_core.datasets.scene.Scene`. Opening it reads the model and the header of every image; ids are
    "1" to "N" in the order of COLMAP's image ids. Its photographs must be free of distortion: `capture` undoes it.

    Raises:
        DatasetError: a file is missing or broken, the images differ in size, or the size asked for exceeds theirs.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """All scenes below `data_root`, as they are."""
        return [f"example/{folder.name}/raw" for folder in scene_folders([data_root / "example"])]

    def __init__(self, name: str, data_root: Path):
        scene, size = name_parts(name, FORM, EXAMPLE)
        if not re.fullmatch(r"raw|[1-9][0-9]{0,4}", size):
            raise misnamed(name, FORM, EXAMPLE)
        self.name = name
        self.folder = find_scene_folder(name, scene, [data_root / "example"])
        self._model = PinholeModel(name, self.folder / "sparse/0", self.folder / "images")
        self.image_ids = list(self._model.views)
        native = shared_image_size(list(self._model.paths.values()))
        self._check_shape(native)
        self._ratio = 1.0 if size == "raw" else int(size) / max(native)
        if self._ratio > 1:
            raise DatasetError(
                f"{name}: {size} pixels are asked for, but the longer side of the images in {self.folder} has "
                f"{max(native)} and images are never enlarged. Open example/{scene}/raw instead."
            )
        self._size = downscaled_size(*native, self._ratio)
        self._ranges = {image_id: self._range(image_id) for image_id in self.image_ids}

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB; `DatasetError` if the file is broken."""
        self._model.view(image_id)
        return downscale_image(read_image(self._model.paths[image_id])[..., :3], self._ratio)

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        return self._model.scaled_K(image_id, self._size)

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._model.view(image_id).w2c.copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        """From the 2nd and 98th percentile of the depths of all points of the model in this camera."""
        self._model.view(image_id)
        return self._ranges[image_id]

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """All True."""
        self._model.view(image_id)
        return np.ones(self._size, bool)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """COLMAP's map where its dense workspace is in the scene's folder; otherwise None."""
        maps = self.folder / "dense/stereo/depth_maps"
        return kept_colmap_depth(maps / f"{self._model.view(image_id).name}.geometric.bin", self._size)

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """To train on, every image is query and reference; otherwise every 8th, from the first, is a query."""
        return training_split(self.image_ids, kind)

    def _range(self, image_id: str) -> tuple[float, float]:
        depths = depths_in(self._model.view(image_id).w2c, self._model.model.points)
        if not len(depths):
            raise DatasetError(f"{self.folder / 'sparse/0'}: has no points, which depth ranges are taken from.")
        near, far = range_from_depths(depths)
        check_depth_range(near, far, f"{self.folder / 'sparse/0'}, points in the camera of image {image_id}")
        return near, far

    def _check_shape(self, native: tuple[int, int]) -> None:
        for view in self._model.model.views:
            ratios = native[0] / view.camera.height, native[1] / view.camera.width
            if abs(ratios[0] / ratios[1] - 1) > 0.01:
                raise DatasetError(
                    f"{self.folder}: the images are {native[1]}×{native[0]}, but the camera of {view.name} is "
                    f"{view.camera.width}×{view.camera.height}, of another shape. Restore the images of the model."
                )
