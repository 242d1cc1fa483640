"""`transforms.json` of instant-ngp and nerfstudio: photographs with cameras, lens included."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.captures.capture_sources import (
    CaptureSource,
    PosedPhotograph,
    fingerprint,
    posed,
    report_absent,
)
from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.datasets.files.checked_files import check_w2c, path_inside, read_json
from maskrf_core.datasets.files.image_files import IMAGE_SUFFIXES, image_size
from maskrf_core.support.errors import DatasetError

OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
LENS_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "OPENCV_FISHEYE")
LENS_KEYS = ("k1", "k2", "k3", "k4", "p1", "p2")
FOCAL_KEYS = ("fl_x", "camera_angle_x")


def source_from_transforms(path: Path) -> CaptureSource:
    """The photographs of a transforms.json that are there.

    `transform_matrix` is camera to world with OpenGL axes (x right, y up, z back). fl_x, fl_y, cx, cy, w, h (or
    camera_angle_x), the camera_model and k1 to k4, p1, p2 stand for all frames or in each. The principal point is in
    COLMAP's pixels, whose first centre is (½, ½), as both programs write it.

    Raises:
        DatasetError: a number or matrix is missing or wrong, a lens model is unknown, a photograph is broken, or fewer
            than 3 photographs are there.
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
        photograph = _find(path.parent, name)
        w2c = _w2c(frame, where)
        if photograph is None:
            absent.append(name)
            continue
        camera = _lens_camera({**content, **frame}, photograph, where)
        photographs[name] = posed(photograph, camera, w2c)
    report_absent(absent, len(photographs), str(path))
    in_order = tuple(photographs[name] for name in sorted(photographs))
    return CaptureSource(in_order, fingerprint([path, *(photo.path for photo in in_order)]))


def _find(folder: Path, name: str) -> Path | None:
    """The file of a frame; the suffix may be left out, as in NeRF's synthetic scenes."""
    path = path_inside(folder, name)
    candidates = [path, *(path.with_name(path.name + suffix) for suffix in IMAGE_SUFFIXES)]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


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
    lens = {key: _number(values, key, where, 0.0) for key in LENS_KEYS}
    model = values.get("camera_model", "OPENCV_FISHEYE" if values.get("is_fisheye") else "OPENCV")
    if model not in LENS_MODELS:
        raise DatasetError(f"{where}: the camera_model {model!r} is unknown. Known are {', '.join(LENS_MODELS)}.")
    if model == "OPENCV" and lens["k4"]:
        raise DatasetError(f"{where}: k4 of an OPENCV camera has no counterpart here. Calibrate with k1 to k3.")
    if model == "OPENCV_FISHEYE":
        extra = tuple(lens[key] for key in ("k1", "k2", "k3", "k4"))
    elif model == "OPENCV":
        model = "FULL_OPENCV"  # which is OPENCV with k3 (and a denominator, left at 1)
        extra = (lens["k1"], lens["k2"], lens["p1"], lens["p2"], lens["k3"], 0.0, 0.0, 0.0)
    else:
        model, extra = "PINHOLE", ()
    if not (width == int(width) and height == int(height)):
        raise DatasetError(f"{where}: w and h are {width} and {height}, whole numbers were expected.")
    camera = LensCamera(model, int(width), int(height), (focal_x, focal_y, *centre, *extra))
    camera.check(where)
    return camera


def _number(values: dict[str, Any], key: str, where: str, default: float | None) -> float | None:
    value = values.get(key, default)
    if value is default and key not in values:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise DatasetError(f"{where}: {key} is {value!r}, a number was expected. Correct it.")
    return float(value)
