"""Forward-facing photographs in the layout of Local Light Field Fusion (LLFF, Mildenhall et al., 2019).

A row of `poses_bounds.npy` holds a 3×5 matrix and two bounds. The matrix is [rotation | centre | (height, width, focal
length)]; the columns of the rotation are the camera's down, right and back axes in the world. Images of one factor lie
in `images_<factor>` and belong to the rows by their order.
"""

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.data_set import Frame, NamedScene
from maskrf_core.datasets.files.checked_files import check_depth_range, check_w2c, read_array
from maskrf_core.datasets.files.image_files import shared_image_size
from maskrf_core.datasets.files.image_folders import list_images
from maskrf_core.support.errors import DatasetError, printable

BOUND_AFTER_SCALING = 1 / 0.75  # poses are scaled so that the smallest bound becomes this


def read_nerf_scene(asked: NamedScene) -> list[Frame]:
    """Read `nerf_llff/<scene>/<factor>`: the images of `images_<factor>` (of `images` for 1); ids are file stems.

    The focal length is scaled from the photographs' size to the images'. Otherwise as `read_iconic_scene`.
    """
    return _read_capture(asked, iconic=False)


def read_iconic_scene(asked: NamedScene) -> list[Frame]:
    """Read `real_iconic/<scene>/<factor>`: captures of LLFF's release without faces, as IBRNet published them.

    Ids are "0", "1", … in the files' order. The focal length is the photographs' over the factor, as published, even
    where the factor does not divide the size evenly. Opening reads the poses and the header of every image. Scene
    units: the nearest bound of the capture is at 4/3, the average camera at the origin.
    """
    return _read_capture(asked, iconic=True)


def _read_capture(asked: NamedScene, *, iconic: bool) -> list[Frame]:
    factor = int(asked.words[1])
    poses, ranges, (full_height, full_width, full_focal) = read_llff_poses(asked.folder / "poses_bounds.npy")
    images = asked.folder / ("images" if factor == 1 else f"images_{factor}")
    if not images.is_dir():
        existing = sorted(path.name for path in asked.folder.glob("images*") if path.is_dir())
        raise DatasetError(
            f"{images}: missing. Existing are {', '.join(existing) or 'none'}: ask for one of their factors, "
            "or make the folder by downscaling the photographs."
        )
    paths = list_images(images)
    if len(paths) != len(poses):
        raise DatasetError(
            f"{images}: holds {len(paths)} images, but poses_bounds.npy has {len(poses)} poses. "
            "Unpack the archive again: which image a pose belongs to is known by their order only."
        )
    if paths != sorted(paths):
        warnings.warn(
            f"{images}: the rows of poses_bounds.npy are taken to be in the order of the images' numbers. If they are "
            "in the order of their names as text (0, 1, 10, 2), pad the names with zeros in that order.",
            stacklevel=3,
        )
    height, width = size = shared_image_size(paths)
    if abs(height - full_height / factor) > 1 or abs(width - full_width / factor) > 1:
        raise DatasetError(
            f"{images}: the images are {width}×{height}, but from poses_bounds.npy "
            f"{full_width / factor:g}×{full_height / factor:g} is expected for factor {factor}. Make them again from "
            "the originals."
        )
    focal = full_focal / factor if iconic else full_focal * width / full_width
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    ids = [str(row) if iconic else printable(path.stem) for row, path in enumerate(paths)]
    rows = zip(ids, paths, poses, ranges, strict=True)
    return [Frame(image_id, path, K, w2c, depth_range, size) for image_id, path, w2c, depth_range in rows]


def read_llff_poses(
    path: Path,
) -> tuple[Float[np.ndarray, "view 3 4"], Float[np.ndarray, "view 2"], tuple[float, float, float]]:
    """Read, check, scale by 1/(0.75 · smallest bound), recentre by the average pose, and turn to OpenCV axes.

    Returns w2c, (near, far), and (height, width, focal length in pixels) of the full photographs.
    """
    rows = read_array(path, (None, 17))
    matrices, bounds = rows[:, :15].reshape(-1, 3, 5), rows[:, 15:]
    height, width, focal = matrices[0, :, 4]
    if not (matrices[0, :, 4] > 0).all() or np.abs(matrices[:, :, 4] / matrices[0, :, 4] - 1).max() > 1e-6:
        raise DatasetError(
            f"{path}: height, width and focal length must be positive and the same in all rows. Unpack it again."
        )
    down, right, back, centre = (matrices[:, :, column] for column in range(4))
    c2w = np.stack([right, -down, back, centre], axis=-1)  # OpenGL axes: right, up, back
    for view, (pose, (near, far)) in enumerate(zip(c2w, bounds, strict=True)):
        check_w2c(pose, f"{path}, row {view}")
        check_depth_range(near, far, f"{path}, row {view}")
    scale = BOUND_AFTER_SCALING / bounds.min()
    c2w[:, :, 3] *= scale
    recentred = np.linalg.inv(_homogeneous(average_pose(c2w, str(path)))) @ _homogeneous(c2w)
    opencv = recentred @ np.diag([1.0, -1.0, -1.0, 1.0])
    return np.linalg.inv(opencv)[:, :3], bounds * scale, (float(height), float(width), float(focal))


def average_pose(c2w: Float[np.ndarray, "view 3 4"], where: str) -> Float[np.ndarray, "3 4"]:
    """Average poses: mean centre; axes [right, up, back] from the summed back and up directions, right = up × back."""
    back, up = c2w[:, :, 2].sum(0), c2w[:, :, 1].sum(0)
    right = np.cross(up, back)
    if min(np.linalg.norm(back), np.linalg.norm(right)) < 1e-6 * len(c2w):
        raise DatasetError(
            f"{where}: the views have no common direction; this layout is for forward-facing ones. Unpack it again, "
            "or make the photographs a capture."
        )
    back, right = back / np.linalg.norm(back), right / np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back, c2w[:, :, 3].mean(0)], axis=-1)


def _homogeneous(pose: Float[np.ndarray, "*view 3 4"]) -> Float[np.ndarray, "*view 4 4"]:
    last_row = np.broadcast_to(np.array([0.0, 0, 0, 1]), (*pose.shape[:-2], 1, 4))
    return np.concatenate([pose, last_row], axis=-2)
