"""DTU scans to train and to test on, as published or in IDR's release (Yariv et al., NeurIPS 2020): cameras.npz."""

import re
import warnings
import zipfile
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from maskrf_core.datasets.data_set import Frame, NamedScene, downscale_ratio, listed_width
from maskrf_core.datasets.files.checked_files import check_depth_range, check_intrinsics, check_w2c, read_array
from maskrf_core.datasets.files.downscaling import downscale_image, downscale_nearest, downscaled_size, scale_intrinsics
from maskrf_core.datasets.files.image_files import image_size, read_mask, read_rgb
from maskrf_core.datasets.files.image_folders import list_images, pair_images
from maskrf_core.support.errors import DatasetError, in_short

TRAINING_RANGE = (0.8, 4.0)
PUBLISHED_TEST_WIDTH = 800
TURNED = np.diag([1.0, -1.0, -1.0])  # turns the scans' world so that it has y up
LARGEST_CONDITION = 1e8  # of a projection's left 3×3; focal lengths of thousands of pixels give their square over a few
USED_MATRICES, UNUSED_MATRICES = r"(world|scale)_mat_\d+", r"(world|scale|camera)_mat_inv_\d+|camera_mat_\d+"
LARGEST_MATRIX = 1 << 16  # bytes of an array of cameras.npz, which may be hostile; a 4×4 of float64 takes 256


def read_training_scan(asked: NamedScene) -> list[Frame]:
    """Read `dtu_train/<scan>`: the images as they are (published at 400×300); ids "0", "1", … in the files' order.

    Opening reads the cameras and the header of the first image; the others' size is checked when they are read.
    """
    paths = list_images(asked.folder / "image")
    cameras, size = read_dtu_cameras(asked.folder / "cameras.npz", len(paths)), image_size(paths[0])
    return [
        Frame(str(row), path, K, w2c, TRAINING_RANGE, size)
        for row, (path, (K, w2c)) in enumerate(zip(paths, cameras, strict=True))
    ]


def read_test_scan(asked: NamedScene) -> list[Frame]:
    """Read `dtu_test/<scene>/black_<width>`: black outside the object's mask; ids "0", "1", … in the files' order.

    Opening reads the cameras and the header of the first image; the others' size is checked when they are read.
    Masks belong to images by number (000000.png and 000.png), or by name where these are no numbers. Cameras are taken
    to be for the images as they are. Depth ranges are those of depth_range.npy; without one, of the unit sphere that
    scale_mat puts the object in, near at least a tenth of the origin's depth.
    """
    folder = asked.folder
    images = list_images(folder / "image")
    masks = pair_images(images, list_images(folder / "mask"))
    cameras = read_dtu_cameras(folder / "cameras.npz", len(images))
    native = image_size(images[0])
    ratio = downscale_ratio(asked.name, asked.words[1], native[1])
    kept_range, range_file = None, folder / "depth_range.npy"
    if range_file.exists():
        kept_range = read_array(range_file, (2,)).tolist()
        check_depth_range(*kept_range, str(range_file))

    def frame(row: int) -> Frame:
        K, w2c = cameras[row]
        depth = float(w2c[2, 3])
        near, far = kept_range or (max(depth - 1, 0.1 * depth), depth + 1)
        check_depth_range(near, far, f"{folder}/cameras.npz, image {row}, whose range is around the origin's depth")

        def mask() -> Bool[np.ndarray, "height width"]:
            return downscale_nearest(read_mask(masks[row], native), ratio)

        def image() -> UInt8[np.ndarray, "height width 3"]:
            return np.where(mask()[..., None], downscale_image(read_rgb(images[row], native), ratio), np.uint8(0))

        size = downscaled_size(*native, ratio)
        return Frame(str(row), image, scale_intrinsics(K, ratio), w2c, (near, far), size, mask)

    return [frame(row) for row in range(len(images))]


def scan_names(folders: list[Path]) -> list[str]:
    """List scans at the published width, 800, or at their own where that is smaller."""
    return [f"dtu_test/{path.name}/black_{listed_width(path / 'image', PUBLISHED_TEST_WIDTH)}" for path in folders]


def read_dtu_cameras(path: Path, count: int) -> list[tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3 4"]]]:
    """Decompose `world_mat_i` of `cameras.npz`, i = 0 … count-1, into (K, w2c) in the frame of `scale_mat_i`.

    K is for images of their native size; the world is scaled so that the object lies in the unit sphere.
    """
    arrays = _read_matrices(path)
    found = sum(key.startswith("world_mat_") and key[10:].isdigit() for key in arrays)
    if found != count:
        raise DatasetError(
            f"{path}: holds {found} cameras (world_mat_0, …), but there are {count} images beside it, and which "
            "belongs to which is known by their order only. Unpack the data set again."
        )
    cameras = []
    for row in range(count):
        keys = f"world_mat_{row}", f"scale_mat_{row}"
        for key in keys:
            if key not in arrays:
                raise DatasetError(f"{path}: holds no {key}. Unpack the data set again.")
        cameras.append(decompose(*(arrays[key] for key in keys), f"{path}, {keys[0]}"))
    return cameras


def decompose(
    world: Float[np.ndarray, "4 4"], scale: Float[np.ndarray, "4 4"], where: str
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3 4"]]:
    """Split a projection matrix into K and w2c, its centre moved by `scale`'s last column over its diagonal."""
    spread, fault = np.diag(scale)[:3], None
    if not (np.isfinite(world).all() and np.isfinite(scale).all()):
        fault = "it or its scale_mat holds NaN or infinity"
    elif spread.min() <= 0 or spread.max() > spread.min() * 1.001:
        fault = f"the diagonal {spread} of its scale_mat is no scale"
    elif np.abs(scale[:3, :3] - np.diag(spread)).max() > 1e-6 * spread.max():
        fault = "its scale_mat turns the world"
    elif np.linalg.cond(world[:3, :3]) > LARGEST_CONDITION:
        fault = "the matrix is singular, so it is no projection"
    if fault:
        raise DatasetError(f"{where}: {fault}. Unpack the data set again.")
    K, rotation, centre = cv2.decomposeProjectionMatrix(world[:3])[:3]
    K = K / K[2, 2]
    centre = TURNED @ ((centre[:3, 0] / centre[3, 0] - scale[:3, 3]) / spread)
    rotation = rotation @ TURNED
    w2c = np.concatenate([rotation, -rotation @ centre[:, None]], axis=1)
    check_intrinsics(K, where)
    check_w2c(w2c, where)
    return K, w2c


def _read_matrices(path: Path) -> dict[str, Float[np.ndarray, "4 4"]]:
    """Read `world_mat_*` and `scale_mat_*`, without the inverses and camera_mat that some releases add."""
    if not path.is_file():
        raise DatasetError(f"{path}: missing. Download or unpack the data set again.")
    try:
        with zipfile.ZipFile(path) as archive:
            largest = max((member.file_size for member in archive.infolist()), default=0)
        if largest > LARGEST_MATRIX:
            raise ValueError(f"an array takes {largest} bytes")
        with np.load(path, allow_pickle=False) as file:
            matrices = {key: file[key] for key in file.files if re.fullmatch(USED_MATRICES, key)}
            unknown = [key for key in file.files if not re.fullmatch(f"{USED_MATRICES}|{UNUSED_MATRICES}", key)]
    except Exception as error:  # zipfile and np.load raise many types on damaged files
        raise DatasetError(f"{path}: not a readable .npz of matrices ({error}). Unpack the data set again.") from error
    if unknown:
        warnings.warn(f"{path}: holds what is not known here and passed over: {in_short(unknown)}.", stacklevel=4)
    for key, matrix in matrices.items():
        if not isinstance(matrix, np.ndarray) or matrix.dtype.kind not in "fiu" or matrix.shape != (4, 4):
            raise DatasetError(f"{path}: {key} is not a 4×4 matrix of numbers. Unpack the data set again.")
    return {key: matrix.astype(np.float64) for key, matrix in matrices.items()}
