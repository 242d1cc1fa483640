"""Photographs with cameras, lens included: from a COLMAP model, or transforms.json of instant-ngp and nerfstudio."""

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.captures.colmap_models import read_colmap_model
from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.datasets.files.checked_files import check_w2c, folder_contents, path_inside, read_bytes, read_json
from maskrf_core.datasets.files.image_files import IMAGE_SUFFIXES, image_size
from maskrf_core.support.errors import DatasetError, in_short

LEAST_VIEWS = 3
SHAPE_TOLERANCE = 0.01  # relative difference between the shapes of a photograph and its camera; rounding is less
NO_POINTS = np.zeros((0, 3))
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])


class PosedPhotograph(NamedTuple):
    """A photograph, its camera for its size, and the points that it sees.

    `upright`: the camera is for the picture as its orientation tag turns it, not for the pixels as they are stored.
    """

    path: Path
    camera: LensCamera
    w2c: Float[np.ndarray, "3 4"]
    upright: bool
    points: Float[np.ndarray, "_point 3"]


class CaptureSource(NamedTuple):
    """Photographs in the order of their names, and a fingerprint of everything they and their cameras are made from."""

    photographs: tuple[PosedPhotograph, ...]
    fingerprint: str


def photograph_folder(folder: Path) -> Path:
    """Return `images` in the folder of a capture where there is one, else the folder itself."""
    return folder / "images" if (folder / "images").is_dir() else folder


def list_photographs(folder: Path) -> list[Path]:
    """List the PNG and JPEG files of a capture by name, maybe none; `DatasetError` if its folder cannot be listed."""
    return [path for path in folder_contents(photograph_folder(folder)) if path.suffix.lower() in IMAGE_SUFFIXES]


def source_from_model(
    model_path: Path, image_folder: Path, *, upright_by_name: Mapping[str, Path] | None = None
) -> CaptureSource:
    """Read a COLMAP model of any camera models, and find its photographs.

    `upright_by_name` says which files the model's names stand for, their pixels turned as the orientation tag says.
    Without it names are files in `image_folder`, taken as they are stored unless only their turned shape fits.
    """
    model = read_colmap_model(model_path)
    photographs, absent = [], []
    for view in model.views:
        known = upright_by_name is not None and view.name in upright_by_name
        path = upright_by_name[view.name] if known else path_inside(image_folder, view.name)
        if path.is_file():
            photographs.append(_posed(path, view.camera, view.w2c, model.points[view.seen], upright=known or None))
        else:
            absent.append(view.name)
    _report_absent(absent, len(photographs), str(model_path))
    photographs.sort(key=lambda photo: photo.path)
    files = sorted(path for path in model_path.iterdir() if path.suffix in (".bin", ".txt"))
    return CaptureSource(tuple(photographs), fingerprint([*files, *(photo.path for photo in photographs)]))


def source_from_transforms(path: Path) -> CaptureSource:
    """Read a transforms.json, and find its photographs.

    `transform_matrix` is camera to world with OpenGL axes (x right, y up, z back). fl_x, fl_y, cx, cy, w, h (or
    camera_angle_x), the camera_model and k1 to k4, p1, p2 stand for all frames or in each. The principal point is in
    COLMAP's pixels, whose first centre is (½, ½), as both programs write it.
    """
    content = read_json(path)
    frames = content.get("frames")
    if not isinstance(frames, list) or not frames:
        raise DatasetError(f"{path}: 'frames' is not a list of at least one frame. Export it again.")
    photographs: dict[str, PosedPhotograph] = {}
    absent, listed = [], set()
    for number, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
            raise DatasetError(f"{path}: frame {number} has no file_path. Export it again.")
        name = frame["file_path"]
        if name in listed:
            raise DatasetError(f"{path}: lists {name} twice. Remove one of the two frames.")
        listed.add(name)
        where = f"{path}, frame {number} ({name})"
        named, w2c = path_inside(path.parent, name), _w2c(frame, where)
        # The suffix may be left out, as in NeRF's synthetic scenes.
        candidates = [named, *(named.with_name(named.name + suffix) for suffix in IMAGE_SUFFIXES)]
        photograph = next((candidate for candidate in candidates if candidate.is_file()), None)
        if photograph is None:
            absent.append(name)
        else:
            photographs[name] = _posed(photograph, _lens_camera({**content, **frame}, photograph, where), w2c)
    _report_absent(absent, len(photographs), str(path))
    in_order = tuple(photographs[name] for name in sorted(photographs))
    return CaptureSource(in_order, fingerprint([path, *(photo.path for photo in in_order)]))


def _w2c(frame: dict[str, Any], where: str) -> Float[np.ndarray, "3 4"]:
    try:
        c2w = np.array(frame["transform_matrix"], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{where}: transform_matrix is not a matrix of numbers. Export it again.") from error
    if c2w.shape not in ((4, 4), (3, 4)) or not np.allclose(c2w[3:], [0, 0, 0, 1]):
        raise DatasetError(f"{where}: transform_matrix is not 3×4, nor 4×4 with last row 0 0 0 1. Export it again.")
    check_w2c(c2w[:3], where)
    return np.linalg.inv(np.concatenate([c2w[:3], [[0, 0, 0, 1]]]) @ OPENGL_TO_OPENCV)[:3]


def _lens_camera(values: dict[str, Any], photograph: Path, where: str) -> LensCamera:
    height, width = map(float, image_size(photograph))
    width, height = _number(values, "w", where, width), _number(values, "h", where, height)
    focal_x = _number(values, "fl_x", where, None)
    if focal_x is None:
        angle = _number(values, "camera_angle_x", where, None)
        if angle is None or not 0 < angle < math.pi:
            raise DatasetError(f"{where}: fl_x or a camera_angle_x in (0, π) was expected. Export it again.")
        focal_x = width / 2 / math.tan(angle / 2)
    focal_y = _number(values, "fl_y", where, focal_x)
    centre = _number(values, "cx", where, width / 2), _number(values, "cy", where, height / 2)
    k1, k2, k3, k4, p1, p2 = (_number(values, key, where, 0.0) for key in ("k1", "k2", "k3", "k4", "p1", "p2"))
    models = {
        "PINHOLE": ("PINHOLE", ()),
        "SIMPLE_PINHOLE": ("PINHOLE", ()),
        "OPENCV": ("FULL_OPENCV", (k1, k2, p1, p2, k3, 0.0, 0.0, 0.0)),  # with k3, and a denominator of 1
        "OPENCV_FISHEYE": ("OPENCV_FISHEYE", (k1, k2, k3, k4)),
    }
    model = values.get("camera_model", "OPENCV_FISHEYE" if values.get("is_fisheye") else "OPENCV")
    if model not in models:
        raise DatasetError(f"{where}: the camera_model {model!r} is unknown. Known are {', '.join(models)}.")
    if model == "OPENCV" and k4:
        raise DatasetError(f"{where}: k4 of an OPENCV camera has no counterpart here. Calibrate with k1 to k3.")
    if not (width == int(width) and height == int(height)):
        raise DatasetError(f"{where}: w and h are {width} and {height}, whole numbers were expected.")
    model, lens = models[model]
    camera = LensCamera(model, int(width), int(height), (focal_x, focal_y, *centre, *lens))
    camera.check(where)
    return camera


def _number(values: dict[str, Any], key: str, where: str, default: float | None) -> float | None:
    if key not in values:
        return default
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise DatasetError(f"{where}: {key} is {value!r}, a number was expected. Correct it.")
    return float(value)


def _posed(
    path: Path,
    camera: LensCamera,
    w2c: Float[np.ndarray, "3 4"],
    points: Float[np.ndarray, "_point 3"] = NO_POINTS,
    *,
    upright: bool | None = None,
) -> PosedPhotograph:
    """Fit a camera to a photograph; the camera may be for another size of it.

    `upright` None takes the pixels as they are stored, unless only their turned shape (EXIF) is the camera's.
    """
    for turned in (False, True) if upright is None else (upright,):
        height, width = image_size(path, upright=turned)
        if abs(height / width * camera.width / camera.height - 1) < SHAPE_TOLERANCE:
            return PosedPhotograph(path, camera.resized(width, height), w2c, turned, points)
    height, width = image_size(path)
    raise DatasetError(
        f"{path}: is {width}×{height}, but its camera is for {camera.width}×{camera.height}. Restore the photograph "
        "that the cameras were made from, or make the cameras again."
    )


def _report_absent(absent: Sequence[str], present: int, where: str) -> None:
    """Warn of listed photographs that are missing, in one line; `DatasetError` if fewer than 3 are left."""
    if present < LEAST_VIEWS:
        missing = f"; {len(absent)} are missing: {in_short(absent)}" if absent else ""
        remedy = f"At least {LEAST_VIEWS} are needed; put the missing ones back, or take more."
        raise DatasetError(f"{where}: lists {present} photographs that are there{missing}. {remedy}")
    if absent:
        counted = f"{len(absent)} of {len(absent) + present} listed photographs are missing and left out"
        warnings.warn(f"{where}: {counted}: {in_short(absent)}.", stacklevel=3)


def fingerprint(paths: Sequence[Path], *words: object) -> str:
    """Digest the names and contents of files, and the words."""
    digest = hashlib.blake2b(repr(words).encode(), digest_size=8)
    for path in paths:
        digest.update(path.name.encode("utf-8", "surrogateescape") + b"\0")
        digest.update(hashlib.blake2b(read_bytes(path)).digest())
    return digest.hexdigest()
