"""COLMAP's sparse models (cameras, images and points3D, .bin or .txt), read with pycolmap into plain arrays."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from maskrf_core.datasets.captures.colmap_structure import FILES, copy_without_observations
from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.datasets.files.checked_files import check_w2c, path_inside
from maskrf_core.support.errors import DatasetError


@dataclass(frozen=True)
class ColmapView:
    """One registered image; `seen` are the rows of the model's points that it observes."""

    image_id: int
    name: str
    camera: LensCamera
    w2c: Float[np.ndarray, "3 4"]
    seen: Int64[np.ndarray, "_observation"]


@dataclass(frozen=True)
class ColmapModel:
    """Views in the order of COLMAP's image ids, and the sparse points in world units."""

    views: tuple[ColmapView, ...]
    points: Float[np.ndarray, "point 3"]


def is_colmap_model(folder: Path) -> bool:
    """Whether the three files of a model are there."""
    return any(all((folder / f"{name}{suffix}").is_file() for name in FILES) for suffix in (".bin", ".txt"))


def read_colmap_model(folder: str | Path) -> ColmapModel:
    """The model in `folder`; rigs are not needed, since each image has its own pose.

    Raises:
        DatasetError: there is no model, or it is damaged: cut short, of unknown camera models, with poses that are no
            rotation, with names that lead out of the image folder.
    """
    folder = Path(folder)
    with tempfile.TemporaryDirectory() as copy:
        observations = copy_without_observations(folder, Path(copy))
        model = _read_with_pycolmap(Path(copy), folder)
    ids = sorted(model.points3D)
    points = np.array([model.points3D[point_id].xyz for point_id in ids], np.float64).reshape(-1, 3)
    point_ids = np.array(ids, np.uint64).astype(np.int64)  # as the observations have them
    if not np.isfinite(points).all():
        raise DatasetError(f"{folder}: a point is NaN or infinite. Copy or export the model again.")
    views = []
    for image_id, image in sorted(model.images.items()):
        where = f"{folder}, image {image_id} ({image.name})"
        path_inside(folder, image.name)
        camera = model.cameras[image.camera_id]
        lens = LensCamera(camera.model_name, camera.width, camera.height, tuple(map(float, camera.params)))
        lens.check(where)
        pose = image.cam_from_world()
        if np.abs(pose.rotation.quat).max() < 0.4:  # of length 1 it is at least ½; of zeros the identity would come
            raise DatasetError(f"{where}: its quaternion is none of length 1. Copy or export the model again.")
        w2c = np.array(pose.matrix(), np.float64)
        check_w2c(w2c, where)
        seen = np.flatnonzero(np.isin(point_ids, observations[image_id])).astype(np.int64)
        views.append(ColmapView(image_id, image.name, lens, w2c, seen))
    if not views:
        raise DatasetError(f"{folder}: the model has no images. Give a model whose reconstruction succeeded.")
    if len({view.name for view in views}) < len(views):
        raise DatasetError(f"{folder}: two images of the model have one name. Export the model again.")
    return ColmapModel(tuple(views), points)


def _read_with_pycolmap(copy: Path, folder: Path):
    import pycolmap  # heavy

    pycolmap.logging.minloglevel = 3
    try:
        return pycolmap.Reconstruction(str(copy))
    except Exception as error:  # COLMAP's checks surface as ValueError, IndexError, RuntimeError, MemoryError...
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise DatasetError(
            f"{folder}: pycolmap cannot read this model ({reason[0][:200]}). Copy or export it again."
        ) from error
