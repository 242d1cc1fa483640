"""Scenes of BlendedMVS (Yao et al., CVPR 2020): blended images with the object masked, and MVSNet's camera files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.files.checked_files import (
    check_depth_range,
    check_intrinsics,
    check_w2c,
    find_scene_folder,
    parse_numbers,
    read_text,
    scene_folders,
)
from maskrf_core.datasets.files.image_files import image_size, list_images, read_rgb
from maskrf_core.datasets.files.resize import downscale_image, downscaled_size, scale_intrinsics
from maskrf_core.datasets.readers.scene_ids import look_up, training_split
from maskrf_core.datasets.readers.scene_names import misnamed, name_parts
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.errors import DatasetError

FOLDER = "blended-mvs"
PUBLISHED_SCENES = {
    "iron_dog": "5c1af2e2bee9a723c963d019",
    "building": "5bf18642c50e6f7f8bdbd492",
    "santa": "5be47bf9b18881428d8fbc1d",
    "dragon": "5bd43b4ba6b28b1ee86b92dd",
    "mermaid": "5ba19a8a360c7c30c1c169df",
    "laid_man": "59e75a2ca9e91f2c5526005d",
}
"""Names of the scenes that NeuRay shows, and the data set's own ids of them."""
MASKED = "_masked"
RATIO = 0.5
NEAR_MARGIN, FAR_MARGIN = 0.8, 1.2


class _Camera(NamedTuple):
    K: Float[np.ndarray, "3 3"]
    w2c: Float[np.ndarray, "3 4"]
    depth_range: tuple[float, float]


class BlendedMvsScene:
    """`blended_mvs/<scene>/half`: masked images at half their size; the scene by its published name or the data set's
    own; ids are "0", "1", … in the files' order.

    Implements `maskrf_core.datasets.scene.Scene`. Opening it reads all camera files and the header of the first image;
    the others' size is checked when they are read.

    Raises:
        DatasetError: a file is missing or broken.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """All scenes below `data_root`, by their published names where they have one."""
        published = {uid: scene for scene, uid in PUBLISHED_SCENES.items()}
        folders = scene_folders([data_root / FOLDER])
        return [f"blended_mvs/{published.get(folder.name, folder.name)}/half" for folder in folders]

    def __init__(self, name: str, data_root: Path):
        form, example = "blended_mvs/<scene>/half", "blended_mvs/building/half"
        scene, size = name_parts(name, form, example)
        if size != "half":
            raise misnamed(name, form, example)
        self.name = name
        self.folder = find_scene_folder(name, PUBLISHED_SCENES.get(scene, scene), [data_root / FOLDER])
        images = self.folder / "blended_images"
        paths = [path for path in list_images(images) if path.stem.endswith(MASKED)]
        if not paths:
            raise DatasetError(f"{images}: holds no *{MASKED}.jpg. Download the release with masked images.")
        self._paths = {str(row): path for row, path in enumerate(paths)}
        self.image_ids = list(self._paths)
        self._cameras = {
            image_id: _read_camera(self.folder / f"cams/{path.stem.removesuffix(MASKED)}_cam.txt")
            for image_id, path in self._paths.items()
        }
        self._native_size = image_size(paths[0])

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB with the surroundings black, downscaled; `DatasetError` if the file is broken."""
        return downscale_image(read_rgb(look_up(self._paths, image_id, self.name), self._native_size), RATIO)

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        return scale_intrinsics(self._camera(image_id).K, RATIO)

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._camera(image_id).w2c.copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        """The camera file's, with a fifth of margin on both sides."""
        return self._camera(image_id).depth_range

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """Where any channel of the downscaled image is above 0."""
        return self.image(image_id).any(-1)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """COLMAP's map where one is in the scene's folder; otherwise None."""
        self._camera(image_id)
        size = downscaled_size(*self._native_size, RATIO)
        return kept_colmap_depth(self.folder / f"colmap_depth/{image_id}.jpg.geometric.bin", size)

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """To train on, every image is query and reference; otherwise every 8th, from the first, is a query."""
        return training_split(self.image_ids, kind)

    def _camera(self, image_id: str) -> _Camera:
        return look_up(self._cameras, image_id, self.name)


def _read_camera(path: Path) -> _Camera:
    """`extrinsic` and 4×4 (w2c), `intrinsic` and 3×3, then nearest depth, interval, count, farthest depth."""
    words = read_text(path).split()
    if len(words) != 31 or (words[0], words[17]) != ("extrinsic", "intrinsic"):
        raise DatasetError(
            f"{path}: 'extrinsic' and 16 numbers, 'intrinsic' and 9 numbers, and 4 numbers of depth were expected. "
            "Unpack the data set again."
        )
    numbers = parse_numbers(words[1:17] + words[18:], str(path))
    w2c, K, (nearest, _, _, farthest) = numbers[:12].reshape(3, 4), numbers[16:25].reshape(3, 3), numbers[25:]
    depth_range = float(nearest) * NEAR_MARGIN, float(farthest) * FAR_MARGIN
    check_w2c(w2c, str(path))
    check_intrinsics(K, str(path))
    check_depth_range(*depth_range, str(path))
    return _Camera(K, w2c, depth_range)
