"""Renders of Google Scanned Objects as IBRNet published them: rgb, mask, depth, intrinsics and pose, file by file."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.files.checked_files import (
    check_depth_range,
    check_intrinsics,
    check_w2c,
    find_scene_folder,
    folder_contents,
    read_matrix,
    scene_folders,
)
from maskrf_core.datasets.files.image_files import image_size, read_mask, read_rgb, read_sixteen_bits
from maskrf_core.datasets.files.resize import downscale_image, downscale_nearest, scale_intrinsics
from maskrf_core.datasets.readers.scene_ids import look_up, training_split
from maskrf_core.datasets.readers.scene_names import downscale_ratio, listed_width, parse_variant
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.errors import DatasetError

FOLDER = "google_scanned_objects"
PARTS = {"rgb": ".png", "mask": ".png", "depth": ".png", "intrinsics": ".txt", "pose": ".txt"}
PUBLISHED_WIDTH = 400
OBJECT_RADIUS = 0.5 * 2**0.5 * 1.1
"""Scene units around the world's origin: half a unit square's diagonal, and a tenth more."""
DEPTH_UNITS = 1000
"""Steps of the depth files in one scene unit."""


class GoogleScannedObjectsScene:
    """`gso/<object>/<black|white>_<raw|width>`: on that background, downscaled to that width; ids are "0", "1", ….

    Implements `maskrf_core.datasets.scene.Scene`. Opening it looks at the names of the files and the header of the
    first image; cameras and images are read, and their size and sense checked, when they are asked for.

    Raises:
        DatasetError: a file is missing or too many in one of the five folders, the first image is broken, or a width
            is asked for that exceeds the images'.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """All objects below `data_root`, at the published size: on black, 400 wide; or as wide as the first one's."""
        folders = scene_folders([data_root / FOLDER])
        width = listed_width(folders[0] / "rgb", PUBLISHED_WIDTH) if folders else PUBLISHED_WIDTH
        return [f"gso/{folder.name}/black_{width}" for folder in folders]

    def __init__(self, name: str, data_root: Path):
        scene, self._background, width = parse_variant(name, "gso/Toy_Car/black_400", raw=True)
        self.name = name
        self.folder = find_scene_folder(name, scene, [data_root / FOLDER])
        self._stems = {str(number): stem for number, stem in enumerate(_stems(self.folder))}
        self.image_ids = list(self._stems)
        self._native_size = image_size(self._path("rgb", self.image_ids[0]))
        self._ratio = downscale_ratio(name, width, self._native_size[1])
        self._cameras: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB, downscaled. The renders' own background is white; black is put outside the mask before downscaling."""
        image = read_rgb(self._path("rgb", image_id), self._native_size)
        if self._background == "black":
            image = np.where(self._native_mask(image_id)[..., None], image, np.uint8(0))
        return downscale_image(image, self._ratio)

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        return scale_intrinsics(self._camera(image_id)[0], self._ratio)

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._camera(image_id)[1].copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        """The object's extent around the depth of the world's origin; near at least a tenth of that depth."""
        return _depth_range(self._camera(image_id)[1])

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        return downscale_nearest(self._native_mask(image_id), self._ratio)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """The renders' own depth, 0 outside the mask."""
        depth = read_sixteen_bits(self._path("depth", image_id), self._native_size).astype(np.float32) / DEPTH_UNITS
        return downscale_nearest(np.where(self._native_mask(image_id), depth, np.float32(0)), self._ratio)

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """To train on, every image is query and reference; otherwise every 8th, from the first, is a query."""
        return training_split(self.image_ids, kind)

    def _native_mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        return read_mask(self._path("mask", image_id), self._native_size)

    def _path(self, part: str, image_id: str) -> Path:
        return self.folder / part / (look_up(self._stems, image_id, self.name) + PARTS[part])

    def _camera(self, image_id: str) -> tuple[np.ndarray, np.ndarray]:
        """(K at full size, w2c); kept, because every training step asks for many."""
        if image_id not in self._cameras:
            intrinsics, pose = self._path("intrinsics", image_id), self._path("pose", image_id)
            K, c2w = read_matrix(intrinsics, 4, 4)[:3, :3], read_matrix(pose, 4, 4)
            check_intrinsics(K, str(intrinsics))
            check_w2c(c2w[:3], str(pose))
            if np.abs(c2w[3] - [0, 0, 0, 1]).max() > 1e-6:
                raise DatasetError(f"{pose}: the last row is not 0 0 0 1. Unpack the data set again.")
            w2c = np.linalg.inv(c2w)[:3]
            check_depth_range(*_depth_range(w2c), f"{pose}, which turns away from the object")
            self._cameras[image_id] = K, w2c
        return self._cameras[image_id]


def _depth_range(w2c: Float[np.ndarray, "3 4"]) -> tuple[float, float]:
    depth = float(w2c[2, 3])
    return max(depth - OBJECT_RADIUS, 0.1 * depth), depth + OBJECT_RADIUS


def _stems(folder: Path) -> list[str]:
    """000000, 000001, …, as many as there are files in `rgb`; each must be in all five folders, and nothing else."""
    wanted: list[str] = []
    for part, suffix in PARTS.items():
        found = {path.name for path in folder_contents(folder / part) if path.name.endswith(suffix)}
        wanted = wanted or [f"{number:06}" for number in range(len(found))]
        expected = [stem + suffix for stem in wanted]
        missing, strange = [name for name in expected if name not in found], sorted(found - set(expected))
        if missing or strange or not found:
            what = f"{missing[0]} is missing" if missing else f"{strange[0]} is one too many" if strange else "is empty"
            raise DatasetError(
                f"{folder / part}: {what}; {', '.join(PARTS)} hold the same files, numbered from 000000. "
                "Unpack the data set again."
            )
    return wanted
