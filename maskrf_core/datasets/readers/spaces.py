"""Scenes of Spaces (Flynn et al., CVPR 2019): a rig of cameras at several places, described by models.json."""

from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.files.checked_files import check_intrinsics, check_w2c, path_inside, read_json_list
from maskrf_core.datasets.files.image_files import image_size
from maskrf_core.datasets.readers.frames import Frame, NamedScene
from maskrf_core.support.errors import DatasetError

DEPTH_RANGE = (0.7, 100.0)
LARGEST_SIDE = 100_000
FIELDS = {
    "width": 1,
    "height": 1,
    "focal_length": 1,
    "pixel_aspect_ratio": 1,
    "principal_point": 2,
    "position": 3,
    "orientation": 3,
}
"""Fields of a camera in models.json, and how many numbers each takes."""


def read_rig_scene(asked: NamedScene) -> list[Frame]:
    """Read `space/<scene>`: images as they are, possibly of unequal size; ids are `<place of the rig>-<camera>`.

    Opening reads models.json and looks for the images that it lists. An image of another size than models.json says
    (scenes 008, 038, 039) has its intrinsics scaled to what it is.

    Raises:
        DatasetError: models.json is missing or broken, or an image that it lists is missing.
    """
    listing = asked.folder / "models.json"
    rigs = read_json_list(listing)
    if not rigs or not all(isinstance(rig, list) and rig for rig in rigs):
        raise DatasetError(f"{listing}: a list of lists of cameras was expected. Unpack the data set again.")
    return [
        _frame(f"{place}-{number}", asked.folder, camera, f"{listing}, place {place}, camera {number}")
        for place, rig in enumerate(rigs)
        for number, camera in enumerate(rig)
    ]


def _frame(image_id: str, folder: Path, camera: Any, where: str) -> Frame:
    listed = camera.get("relative_path") if isinstance(camera, dict) else None
    if not isinstance(listed, str):
        raise DatasetError(f"{where}: has no relative_path. Unpack the data set again.")
    path = path_inside(folder, listed)
    if not path.is_file():
        raise DatasetError(f"{where}: lists {listed}, but {path} is missing. Unpack the data set again.")
    values = {field: _numbers(camera, field, count, where) for field, count in FIELDS.items()}
    (focal,), (aspect,), (x, y) = (values[key] for key in ("focal_length", "pixel_aspect_ratio", "principal_point"))
    K = np.array([[focal, 0, x], [0, focal * aspect, y], [0, 0, 1]])
    rotation = cv2.Rodrigues(values["orientation"])[0]
    w2c = np.concatenate([rotation, -rotation @ values["position"][:, None]], axis=1)
    size = float(values["height"][0]), float(values["width"][0])
    if not 0 < min(size) <= max(size) <= LARGEST_SIDE:
        raise DatasetError(
            f"{where}: width and height must be positive and no more than {LARGEST_SIDE}. Unpack the data set again."
        )
    check_intrinsics(K, where)
    check_w2c(w2c, where)
    measured = cache(partial(image_size, path))

    def scaled_K() -> Float[np.ndarray, "3 3"]:
        return np.diag([measured()[1] / size[1], measured()[0] / size[0], 1.0]) @ K

    return Frame(image_id, path, scaled_K, w2c, DEPTH_RANGE, measured)


def _numbers(camera: dict[str, Any], field: str, count: int, where: str) -> Float[np.ndarray, "{count}"]:
    try:
        numbers = np.array(camera[field], np.float64).reshape(-1)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{where}: {field} is missing or not made of numbers. Unpack the data set again.") from error
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise DatasetError(f"{where}: {field} is not {count} finite number(s). Unpack the data set again.")
    return numbers
