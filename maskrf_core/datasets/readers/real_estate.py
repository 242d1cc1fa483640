"""Video frames of RealEstate10K (Zhou et al., SIGGRAPH 2018) with the data set's own camera files."""

import re
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.files.checked_files import (
    check_intrinsics,
    check_w2c,
    find_scene_folder,
    parse_numbers,
    read_text,
    scene_folders,
)
from maskrf_core.datasets.files.image_files import list_images, read_rgb
from maskrf_core.datasets.readers.scene_ids import look_up, training_split
from maskrf_core.datasets.readers.scene_names import misnamed, name_parts
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.errors import DatasetError

FOLDER = Path("real_estate_dataset/train")
DEPTH_RANGE = (1.0, 100.0)
NUMBERS_IN_A_LINE = 19


class RealEstateScene:
    """`real_estate/<scene>/<height>_<width>`: frames brought to that size; ids are their timestamps, in their order.

    Implements `maskrf_core.datasets.scene.Scene`. Opening it reads the camera file and the names of the frames. The
    camera file may list frames that are not there, as the published selection of frames is smaller than its lists.

    Raises:
        DatasetError: the camera file is missing or broken, there are no frames, or a frame has no line in it.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """All scenes below `data_root`, at the published size: 450×800."""
        return [f"real_estate/{folder.name}/450_800" for folder in scene_folders([data_root / FOLDER / "frames"])]

    def __init__(self, name: str, data_root: Path):
        scene, self._size = _parse_name(name)
        self.name = name
        self.folder = find_scene_folder(name, scene, [data_root / FOLDER / "frames"])
        self._cache = data_root / "colmap_forward_cache/real_estate" / scene / "dense_out/stereo/depth_maps"
        listing = data_root / FOLDER / "cameras" / f"{scene}.txt"
        self._paths = {path.stem: path for path in list_images(self.folder)}
        self._cameras = _read_cameras(listing, set(self._paths))
        for path in self._paths.values():
            if path.stem not in self._cameras:
                raise DatasetError(
                    f"{path}: {listing.name} has no line for this frame. Unpack the camera files again, "
                    "or remove the frame."
                )
        self.image_ids = sorted(self._paths, key=int)

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB, resized by averaging over areas."""
        image = read_rgb(look_up(self._paths, image_id, self.name))
        return cv2.resize(image, self._size[::-1], interpolation=cv2.INTER_AREA)

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        height, width = self._size
        return np.diag([width, height, 1.0]) @ look_up(self._cameras, image_id, self.name)[0]

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return look_up(self._cameras, image_id, self.name)[1].copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        look_up(self._paths, image_id, self.name)
        return DEPTH_RANGE

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """All True: everything is foreground."""
        look_up(self._paths, image_id, self.name)
        return np.ones(self._size, bool)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """COLMAP's map where it is kept, beyond far put there; otherwise None."""
        look_up(self._paths, image_id, self.name)
        path = self._cache / f"{image_id}.jpg.geometric.bin"
        return kept_colmap_depth(path, self._size, far=DEPTH_RANGE[1], any_shape=True)

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """To train on, every frame is query and reference; otherwise every 8th, from the first, is a query."""
        return training_split(self.image_ids, kind)


def _parse_name(name: str) -> tuple[str, tuple[int, int]]:
    form, example = "real_estate/<scene>/<height>_<width>", "real_estate/000c3ab189999a83/450_800"
    scene, variant = name_parts(name, form, example)
    match = re.fullmatch(r"([1-9][0-9]{0,3})_([1-9][0-9]{0,3})", variant)
    if match is None:
        raise misnamed(name, form, example)
    return scene, (int(match[1]), int(match[2]))


def _read_cameras(path: Path, wanted: set[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Timestamp → (K of an image of unit size, w2c), of the frames wanted. The first line is the video's address.

    A line is: timestamp, fx, fy, cx, cy over the image's size, two ignored numbers, w2c row by row.
    """
    cameras: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for number, line in enumerate(read_text(path).splitlines()[1:], start=2):
        timestamp, *words = line.split() or [""]
        where = f"{path}, line {number}"
        if not timestamp:
            continue
        if not timestamp.isdigit() or len(words) != NUMBERS_IN_A_LINE - 1:
            raise DatasetError(
                f"{where}: a timestamp and {NUMBERS_IN_A_LINE - 1} numbers were expected. Unpack the data set again."
            )
        if timestamp in cameras:
            raise DatasetError(f"{where}: lists the frame {timestamp} twice. Remove one of the two lines.")
        if timestamp in wanted:
            numbers = parse_numbers(words, where)
            fx, fy, cx, cy = numbers[:4]
            K, w2c = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), numbers[6:].reshape(3, 4)
            check_intrinsics(K, where)
            check_w2c(w2c, where)
            cameras[timestamp] = K, w2c
    return cameras
