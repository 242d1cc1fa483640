"""Forward-facing photographs (Local Light Field Fusion) with cameras of a COLMAP model, as NeuRay trains on them."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.files.checked_files import (
    check_depth_range,
    find_scene_folder,
    read_array,
    read_bytes,
    scene_folders,
)
from maskrf_core.datasets.files.image_files import image_size, read_image
from maskrf_core.datasets.files.resize import blur_against_aliasing
from maskrf_core.datasets.readers.colmap_scene import PinholeModel
from maskrf_core.datasets.readers.scene_ids import every_eighth
from maskrf_core.datasets.readers.scene_names import misnamed, name_parts
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.paths import cache_folder

SIZES = {"high": (756, 1008), "low": (378, 504)}
"""(height, width)"""
FORM, EXAMPLE = "llff_colmap/<scene>/<high|low>", "llff_colmap/fern/high"


class LlffColmapScene:
    """`llff_colmap/<scene>/<high|low>`: 1008×756 or 504×378; ids are "1" to "N" in the order of COLMAP's image ids.

    Implements `maskrf_core.datasets.scene.Scene`. Opening it reads the model and the depth ranges. Downscaled images
    are kept in the cache folder, under a fingerprint of the original.

    Raises:
        DatasetError: a file is missing or broken, or the ranges are not as many as the images.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """All scenes below `data_root`, at the larger size."""
        return [f"llff_colmap/{folder.name}/high" for folder in scene_folders([data_root / "llff_colmap"])]

    def __init__(self, name: str, data_root: Path):
        scene, size = name_parts(name, FORM, EXAMPLE)
        if size not in SIZES:
            raise misnamed(name, FORM, EXAMPLE)
        self.name = name
        self._size = SIZES[size]
        self.folder = find_scene_folder(name, scene, [data_root / "llff_colmap"])
        self._model = PinholeModel(name, self.folder / "sparse", self.folder / "images")
        self.image_ids = list(self._model.views)
        self._ranges = read_array(self.folder / "depth_range.npy", (len(self.image_ids), 2))
        for image_id, (near, far) in zip(self.image_ids, self._ranges.tolist(), strict=True):
            check_depth_range(near, far, f"{self.folder / 'depth_range.npy'}, image {image_id}")
        self._kept = cache_folder(data_root) / "llff_colmap" / scene / size

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB, downscaled once and then kept.

        Raises:
            DatasetError: the file is broken, smaller than the size asked for, or of another shape.
        """
        self._model.view(image_id)
        original = self._model.paths[image_id]
        key = hashlib.blake2b(read_bytes(original), digest_size=8).hexdigest()
        kept = self._kept / f"{image_id}_{key}.png"
        if kept.is_file():
            try:
                image = read_image(kept)
                if image.shape == (*self._size, 3):
                    return image
            except DatasetError:  # damaged, so made again
                pass
        image = self._downscaled(original)
        encoded = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        write_atomically(kept, lambda file: file.write(encoded))
        return image

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        return self._model.scaled_K(image_id, self._size)

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._model.view(image_id).w2c.copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        self._model.view(image_id)
        near, far = self._ranges[int(image_id) - 1].tolist()
        return near, far

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """All True: everything is foreground in these captures."""
        self._model.view(image_id)
        return np.ones(self._size, bool)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """COLMAP's map where one is in the scene's folder; otherwise None."""
        self._model.view(image_id)
        return kept_colmap_depth(self.folder / f"colmap_depth/{image_id}.jpg.geometric.bin", self._size)

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """Queries are every 8th image from the first, references the rest; training uses the references only."""
        references, queries = every_eighth(self.image_ids)
        return references, list(references) if kind == "train" else queries

    def _downscaled(self, original: Path) -> UInt8[np.ndarray, "height width 3"]:
        """As published: blur for the ratio of the widths, then average over areas."""
        (height, width), (native_height, native_width) = self._size, image_size(original)
        if native_width < width or native_height < height:
            raise DatasetError(
                f"{original}: is {native_width}×{native_height}, but {self.name} is {width}×{height} and images are "
                f"never enlarged. Open {self.name.removesuffix('/high')}/low, or restore the original photographs."
            )
        if abs(native_width / native_height * height / width - 1) > 0.01:
            raise DatasetError(
                f"{original}: is {native_width}×{native_height}, which has another shape than {width}×{height}, at "
                "which this layout gives all images. Restore the original photographs."
            )
        image = read_image(original)[..., :3]
        if (native_height, native_width) == self._size:
            return image
        return cv2.resize(
            blur_against_aliasing(image, width / native_width), (width, height), interpolation=cv2.INTER_AREA
        )
