"""Cameras in JSON files: Blender renders of NeRF (Mildenhall et al., 2020) and Spaces (Flynn et al., 2019)."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from maskrf_core.datasets.captures.capture_sources import SHAPE_TOLERANCE
from maskrf_core.datasets.captures.transforms_fields import camera_of, check_fields, pose_of
from maskrf_core.datasets.data_set import Frame, NamedScene, downscale_ratio, listed_width
from maskrf_core.datasets.files.checked_files import check_intrinsics, check_w2c, read_json
from maskrf_core.datasets.files.downscaling import downscale_image, downscale_nearest, downscaled_size, scale_intrinsics
from maskrf_core.datasets.files.image_files import image_size, read_image, shared_image_size
from maskrf_core.datasets.files.image_folders import find_listed_image
from maskrf_core.support.errors import DatasetError

RIG_FIELDS = (
    "width", "height", "focal_length", "pixel_aspect_ratio", "principal_point", "position", "orientation",
    "relative_path",
)  # fmt: skip
RENDERS_RANGE, RIG_RANGE = (2.0, 6.0), (0.7, 100.0)
PUBLISHED_WIDTH = 800
BACKGROUNDS = {"black": 0.0, "white": 1.0}
LARGEST_SIDE = 100_000


def read_renders(asked: NamedScene) -> list[Frame]:
    """Read `nerf_synthetic/<scene>/<black|white>_<width>`: composited on that background, then downscaled.

    Opening reads the three transforms files and the header of every image they list; ids are `<split>-r_<n>`, train
    before val before test. The mask is where alpha is above 0.
    """
    _, background, width = asked.words
    listed = {}
    for split in ("train", "val", "test"):
        listed |= _listed_renders(asked.folder, split)
    native = shared_image_size([path for path, _, _ in listed.values()])
    ratio = downscale_ratio(asked.name, width, native[1])

    def frame(image_id: str, path: Path, w2c: Float[np.ndarray, "3 4"], intrinsics: Callable) -> Frame:
        K = intrinsics(native)

        def image() -> UInt8[np.ndarray, "height width 3"]:
            colour, alpha = np.split(_read_rgba(path).astype(np.float32) / 255, [3], axis=-1)
            # In this order float32 rounds as when the published checkpoints' images were made.
            rgb = colour * alpha + BACKGROUNDS[background] - BACKGROUNDS[background] * alpha
            return downscale_image((rgb * 255).astype(np.uint8), ratio)

        def mask() -> Bool[np.ndarray, "height width"]:
            return downscale_nearest(_read_rgba(path)[..., 3] > 0, ratio)

        size = downscaled_size(*native, ratio)
        return Frame(image_id, image, scale_intrinsics(K, ratio), w2c, RENDERS_RANGE, size, mask)

    return [frame(image_id, *each) for image_id, each in listed.items()]


def render_names(folders: list[Path]) -> list[str]:
    """List scenes on black, at the published width, or at their own where that is smaller."""
    return [f"nerf_synthetic/{path.name}/black_{listed_width(path / 'train', PUBLISHED_WIDTH)}" for path in folders]


def read_rig_scene(asked: NamedScene) -> list[Frame]:
    """Read `space/<scene>`: images of a rig as they are, maybe of unequal size; ids are `<place of the rig>-<camera>`.

    Opening reads models.json and looks for the images that it lists. An image of another size than models.json says
    (scenes 008, 038, 039) has its intrinsics scaled to what it is.
    """
    listing = asked.folder / "models.json"
    rigs = read_json(listing, list)
    if not rigs or not all(isinstance(rig, list) and rig for rig in rigs):
        raise DatasetError(f"{listing}: a list of lists of cameras was expected. Unpack the data set again.")
    return [
        _rig_frame(f"{place}-{number}", asked.folder, camera, f"{listing}, place {place}, camera {number}")
        for place, rig in enumerate(rigs)
        for number, camera in enumerate(rig)
    ]


def _rig_frame(image_id: str, folder: Path, camera: Any, where: str) -> Frame:
    path = _listed_image(folder, camera, "relative_path", where)
    if unknown := sorted(camera.keys() - set(RIG_FIELDS)):
        raise DatasetError(f"{where}: has the unknown field {unknown[0]}, which may change the camera. Remove it.")
    width, height, focal, aspect = (_numbers(camera, field, 1, where).item() for field in RIG_FIELDS[:4])
    x, y = _numbers(camera, "principal_point", 2, where)
    rotation = cv2.Rodrigues(_numbers(camera, "orientation", 3, where))[0]
    w2c = np.concatenate([rotation, -rotation @ _numbers(camera, "position", 3, where)[:, None]], axis=1)
    K = np.array([[focal, 0, x], [0, focal * aspect, y], [0, 0, 1]])
    if not 0 < min(width, height) <= max(width, height) <= LARGEST_SIDE:
        raise DatasetError(
            f"{where}: width and height must be positive and no more than {LARGEST_SIDE}. Unpack the data set again."
        )
    check_intrinsics(K, where)
    check_w2c(w2c, where)
    measured = cache(partial(image_size, path))

    def scaled_K() -> Float[np.ndarray, "3 3"]:
        return np.diag([measured()[1] / width, measured()[0] / height, 1.0]) @ K

    return Frame(image_id, path, scaled_K, w2c, RIG_RANGE, measured)


def _read_rgba(path: Path) -> UInt8[np.ndarray, "height width 4"]:
    image = read_image(path)
    if image.shape[2] != 4:
        raise DatasetError(f"{path}: has no alpha channel, which masks the object. Use the original RGBA renders.")
    return image


def _listed_renders(folder: Path, split: str) -> dict[str, tuple[Path, Float[np.ndarray, "3 4"], Callable]]:
    """Read image id → (file, w2c, size of the images → K) of the frames of one split."""
    listing = folder / f"transforms_{split}.json"
    content = read_json(listing)
    entries = content.get("frames")
    if not isinstance(entries, list) or not entries:
        raise DatasetError(f"{listing}: 'frames' is not a list of at least one frame. Unpack the data set again.")
    check_fields(content, str(listing))
    frames = {}
    for number, entry in enumerate(entries):
        path = _listed_image(folder, entry, "file_path", f"{listing}, frame {number}")
        image_id, where = f"{split}-{path.stem}", f"{listing}, frame {number} ({path.stem})"
        if image_id in frames:
            raise DatasetError(f"{listing}: lists {entry['file_path']} twice. Remove one of the two frames.")
        frames[image_id] = path, pose_of(entry, where), partial(_render_K, content, entry, where)
    return frames


def _render_K(content: dict, entry: dict, where: str, native: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
    """Return K of a render of `native` (height, width); the principal point is as it stands, as published."""
    camera = camera_of(content, entry, native, where)
    if camera.model != "PINHOLE":
        raise DatasetError(f"{where}: has lens distortion, which renders have not. Put it into captures/ instead.")
    if abs(native[0] / native[1] * camera.width / camera.height - 1) > SHAPE_TOLERANCE:
        raise DatasetError(
            f"{where}: w and h are {camera.width} and {camera.height}, but the image is {native[1]}×{native[0]}, of "
            "another shape. Correct w and h."
        )
    fx, fy, cx, cy = camera.params
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    check_intrinsics(K, where)
    return np.diag([native[1] / camera.width, native[0] / camera.height, 1.0]) @ K


def _listed_image(folder: Path, entry: Any, field: str, where: str) -> Path:
    listed = entry.get(field) if isinstance(entry, dict) else None
    if not isinstance(listed, str):
        raise DatasetError(f"{where}: has no {field}. Unpack the data set again.")
    if (path := find_listed_image(folder, listed)) is None:
        raise DatasetError(
            f"{where}: lists {listed}, which is missing in {folder}. Unpack the data set again, or remove it from the "
            "list."
        )
    return path


def _numbers(entry: dict[str, Any], field: str, count: int, where: str) -> Float[np.ndarray, "{count}"]:
    """Read `count` finite numbers of a listed camera."""
    try:
        numbers = np.array(entry[field], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{where}: {field} is missing or not made of numbers. Unpack the data set again.") from error
    if numbers.size != count or not np.isfinite(numbers).all():
        raise DatasetError(f"{where}: {field} is not {count} finite number(s). Unpack the data set again.")
    return numbers.reshape(-1)
