"""Forward-facing photographs in the layout of Local Light Field Fusion: poses_bounds.npy and images_<factor>."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.files import find_scene_folder, scene_folders
from maskrf_core.datasets.image_files import IMAGE_SUFFIXES, read_image, shared_image_size
from maskrf_core.datasets.llff_poses import read_llff_poses
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.errors import DatasetError

FOLDERS = ("nerf_llff_data", "nerf_llff")
"""Below the data root: as the archive unpacks, and under the layout's own name."""
QUERY_STRIDE = 8
"""Every 8th image, from the first, is a query, as in NeRF and NeuRay."""


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
        return [f"nerf_llff/{folder.name}/8" for folder in scene_folders(data_root / name for name in FOLDERS)]

    def __init__(self, name: str, data_root: Path):
        scene, factor = _parse_name(name)
        self.name = name
        self.folder = find_scene_folder(name, scene, [data_root / folder for folder in FOLDERS])
        self._poses = read_llff_poses(self.folder / "poses_bounds.npy")
        paths = _list_images(self.folder, factor, len(self._poses.w2c))
        self.image_ids = [path.stem for path in paths]
        self._paths = dict(zip(self.image_ids, paths, strict=True))
        if len(self._paths) < len(paths):
            raise DatasetError(f"{paths[0].parent}: two images differ in their suffix only. Remove one of each pair.")
        self._rows = {image_id: row for row, image_id in enumerate(self.image_ids)}
        self._size = shared_image_size(paths)
        self._check_size(paths[0].parent, factor)

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB; `DatasetError` if the file is broken."""
        self._row(image_id)
        return read_image(self._paths[image_id])[..., :3]

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        """One focal length, scaled from the photographs' size to the images'; the centre is (W/2, H/2)."""
        self._row(image_id)
        height, width = self._size
        focal = self._poses.focal * width / self._poses.width
        return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._poses.w2c[self._row(image_id)].copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        near, far = self._poses.depth_range[self._row(image_id)]
        return float(near), float(far)

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """All True: everything is foreground in these captures."""
        self._row(image_id)
        return np.ones(self._size, bool)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        self._row(image_id)
        return None

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """Queries are every 8th image from the first, references the rest; training uses the references only."""
        references = [image_id for row, image_id in enumerate(self.image_ids) if row % QUERY_STRIDE]
        return references, list(references) if kind == "train" else self.image_ids[::QUERY_STRIDE]

    def _row(self, image_id: str) -> int:
        if image_id not in self._rows:
            raise DatasetError(f"{self.name}: no image {image_id!r}; the first of its ids is {self.image_ids[0]!r}.")
        return self._rows[image_id]

    def _check_size(self, folder: Path, factor: int) -> None:
        height, width = self._poses.height / factor, self._poses.width / factor
        if abs(self._size[0] - height) > 1 or abs(self._size[1] - width) > 1:
            raise DatasetError(
                f"{folder}: the images are {self._size[1]}×{self._size[0]}, but from poses_bounds.npy "
                f"{width:g}×{height:g} is expected for factor {factor}. Make them again from the originals."
            )


def _parse_name(name: str) -> tuple[str, int]:
    parts = name.split("/")
    if len(parts) != 3 or not (parts[2].isascii() and parts[2].isdigit()) or not 1 <= int(parts[2]) <= 64:
        raise DatasetError(
            f"{name}: a scene of this data set is called nerf_llff/<scene>/<factor>, such as nerf_llff/fern/8; "
            "the factor is that of its images_<factor> folder."
        )
    return parts[1], int(parts[2])


def _list_images(folder: Path, factor: int, expected: int) -> list[Path]:
    images = folder / ("images" if factor == 1 else f"images_{factor}")
    if not images.is_dir():
        existing = sorted(path.name for path in folder.glob("images*") if path.is_dir())
        raise DatasetError(
            f"{images}: missing. Existing are {', '.join(existing) or 'none'}: ask for one of their factors, "
            "or make the folder by downscaling the photographs."
        )
    paths = sorted(
        path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    if len(paths) != expected:
        raise DatasetError(
            f"{images}: holds {len(paths)} images, but poses_bounds.npy has {expected} poses. "
            "Unpack the archive again: which image a pose belongs to is known by their order only."
        )
    return paths
