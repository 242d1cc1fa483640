"""DTU scans to test on: photographs with masks and cameras.npz, as published or in IDR's own release."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.files.checked_files import check_depth_range, find_scene_folder, read_array, scene_folders
from maskrf_core.datasets.files.image_files import image_size, list_images, read_mask, read_rgb
from maskrf_core.datasets.files.resize import downscale_image, downscale_nearest, scale_intrinsics
from maskrf_core.datasets.places import DTU_TEST_SCANS
from maskrf_core.datasets.readers.dtu_cameras import DtuCamera, read_dtu_cameras
from maskrf_core.datasets.readers.scene_ids import look_up
from maskrf_core.datasets.readers.scene_names import downscale_ratio, listed_width, parse_variant
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.errors import DatasetError

FOLDERS = ("dtu_test", "dtu")
"""Below the data root: as published, and where a scan of IDR's release is put."""
PUBLISHED_WIDTH = 800
ALIASES = DTU_TEST_SCANS | {scan: scene for scene, scan in DTU_TEST_SCANS.items()}


class _View(NamedTuple):
    image: Path
    mask: Path
    camera: DtuCamera


class DtuTestScene:
    """`dtu_test/<scene>/black_<width>`: black outside the object's mask; ids are "0", "1", … in the files' order.

    Implements `maskrf_core.datasets.scene.Scene`. A scene may be named and kept as its scan or as the published name
    of it (birds = scan106). Opening it reads the cameras and the header of the first image; the others' size is
    checked when they are read. Cameras are taken to be for the images as they are.

    Raises:
        DatasetError: a file is missing or broken, images, masks and cameras differ in number, or a width is asked for
            that exceeds the images'.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """All scenes below `data_root` at the published width, 800, or at their own where that is smaller."""
        widths: dict[str, int] = {}
        for folder in scene_folders(data_root / name for name in FOLDERS):
            widths.setdefault(folder.name, listed_width(folder / "image", PUBLISHED_WIDTH))
        return [f"dtu_test/{scene}/black_{width}" for scene, width in widths.items()]

    def __init__(self, name: str, data_root: Path):
        scene, _, width = parse_variant(name, "dtu_test/birds/black_800", backgrounds=("black",))
        assert width is not None  # since raw is not allowed
        self.name = name
        self.folder = _find_folder(name, scene, [data_root / folder for folder in FOLDERS])
        self._views = _read_views(self.folder)
        self.image_ids = list(self._views)
        self._native_size = image_size(self._views["0"].image)
        self._ratio = downscale_ratio(name, width, self._native_size[1])
        self._depth_range = _read_depth_range(self.folder / "depth_range.npy")
        for image_id in self.image_ids:
            where = f"{self.folder}/cameras.npz, image {image_id}, whose range is around the origin's depth"
            check_depth_range(*self.depth_range(image_id), where)

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB, downscaled, then black outside the mask."""
        image = downscale_image(read_rgb(self._view(image_id).image, self._native_size), self._ratio)
        return np.where(self.mask(image_id)[..., None], image, np.uint8(0))

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        return scale_intrinsics(self._view(image_id).camera.K, self._ratio)

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._view(image_id).camera.w2c.copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        """From depth_range.npy; without one, the unit sphere that scale_mat puts the object in, around the origin.

        Near is then at least a tenth of the origin's depth.
        """
        depth = float(self._view(image_id).camera.w2c[2, 3])
        return self._depth_range or (max(depth - 1, 0.1 * depth), depth + 1)

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        return downscale_nearest(read_mask(self._view(image_id).mask, self._native_size), self._ratio)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """COLMAP's map where one is beside the images, 0 outside the mask; otherwise None."""
        mask = self.mask(image_id)
        height, width = mask.shape
        depth = kept_colmap_depth(self.folder / f"colmap_depth/{image_id}.jpg.geometric.bin", (height, width))
        return None if depth is None else np.where(mask, depth, np.float32(0))

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """Queries are every 8th image from the 4th to the 4th last (the middle one where there are too few for that),
        references the rest; training uses the references only."""
        queries = self.image_ids[3:-3:8] or [self.image_ids[len(self.image_ids) // 2]]
        references = [image_id for image_id in self.image_ids if image_id not in queries]
        return references, list(references) if kind == "train" else queries

    def _view(self, image_id: str) -> _View:
        return look_up(self._views, image_id, self.name)


def _find_folder(name: str, scene: str, parents: list[Path]) -> Path:
    existing = {folder.name for folder in scene_folders(parents)}
    alias = ALIASES.get(scene, scene)
    return find_scene_folder(name, scene if scene in existing or alias not in existing else alias, parents)


def _read_views(folder: Path) -> dict[str, _View]:
    images, masks = list_images(folder / "image"), list_images(folder / "mask")
    if len(images) != len(masks):
        raise DatasetError(
            f"{folder}: holds {len(images)} images but {len(masks)} masks, and which belongs to which is known "
            "by their order only. Unpack the data set again."
        )
    cameras = read_dtu_cameras(folder / "cameras.npz", len(images))
    return {str(row): _View(*view) for row, view in enumerate(zip(images, masks, cameras, strict=True))}


def _read_depth_range(path: Path) -> tuple[float, float] | None:
    if not path.exists():
        return None
    near, far = read_array(path, (2,)).tolist()
    check_depth_range(near, far, str(path))
    return near, far
