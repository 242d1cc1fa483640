"""Fields of transforms.json (instant-ngp, nerfstudio, NeRF's renders) → cameras: used, without effect or refused.

No field that changes geometry is passed over: what is not in the tables below is named in a warning. A frame's own
value stands before the file's, in whatever form either is written.
"""

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.datasets.files.checked_files import check_w2c
from maskrf_core.support.errors import DatasetError, in_short

FOCALS_X, FOCALS_Y = (
    ("fl_x", "camera_angle_x", "x_fov"),
    ("fl_y", "camera_angle_y", "y_fov"),
)  # pixels, radians, degrees
LENS = ("k1", "k2", "k3", "k4", "p1", "p2")  # the order of distortion_params, too
USED = {
    *FOCALS_X, *FOCALS_Y, *LENS, "cx", "cy", "w", "h", "distortion_params", "camera_model", "is_fisheye", "frames",
    "file_path", "transform_matrix", "mask_path", "train_filenames", "val_filenames", "test_filenames",
}  # fmt: skip
WITHOUT_EFFECT = {
    "aabb", "aabb_scale", "applied_scale", "applied_transform", "black_transparent", "camera_id", "colmap_im_id",
    "depth_file_path", "depth_path", "depth_unit_scale_factor", "enable_depth_loading", "enable_ray_loading", "envmap",
    "exposure", "fix_premult", "frame_id", "id", "image_id", "importance", "integer_depth_scale", "iso", "light_pos",
    "metadata", "model_id", "n_extra_learnable_dims", "n_frames", "name", "offset", "orientation_override",
    "ply_file_path", "render_aabb", "rotation", "scale", "sharpen", "sharpness", "shutter", "time", "timestamp", "up",
    "white_transparent",
}  # fmt: skip
"""A similarity of the whole world, depth, points, brightness: they change no camera here, or stand in the poses."""
REFUSED = {
    "latlong", "equirectangular", "orthographic", *(f"ftheta_p{index}" for index in range(5)), "rolling_shutter",
    "transform_matrix_start", "transform_matrix_end", "from_mitsuba", "normal_mts_args", "driver_parameters",
    "k5", "k6", "b1", "b2", "s1", "s2", "s3", "s4", "distortion", "fov", "focal", "focal_length", "focal_x", "focal_y",
    "K", "intrinsic", "intrinsics", "intrinsic_matrix", "extrinsics", "skew", "pixel_aspect", "shift_x", "shift_y",
}  # fmt: skip
"""Other lenses, axes and forms of the intrinsics: refused by name unless they are zero, false or empty."""
PERSPECTIVE = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")
AGREEMENT = 0.01  # relative, of two forms of one value; programs write angles with few digits
MIDDLE = (0.4, 0.6)  # of a photograph, where its principal point is; a lens shifted further is not known
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])

Fields = Mapping[str, Any]


def check_fields(content: Fields, where: str) -> None:
    """Refuse fields that would change geometry otherwise than is known here, and warn of those that are not known."""
    levels = [content, *(frame for frame in content.get("frames") or () if isinstance(frame, dict))]
    for level in levels:
        for name in sorted(REFUSED & level.keys()):
            if not _is_nothing(level[name]):
                found = f"{name} is {str(level[name])[:60]}, which is not known here and would change the geometry"
                raise DatasetError(
                    f"{where}: {found}. Convert the file to cameras of OpenCV, perspective or fisheye: fl_x, cx, k1, …."
                )
    if unknown := sorted(set().union(*levels) - USED - WITHOUT_EFFECT - REFUSED):
        warnings.warn(
            f"{where}: has fields that are not known here and passed over: {in_short(unknown)}.", stacklevel=3
        )


def _is_nothing(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_nothing, value))
    return value in (None, 0, "", {}) or str(value).lower() == "false"


def pose_of(frame: Fields, where: str) -> Float[np.ndarray, "3 4"]:
    """Return w2c with OpenCV axes; `transform_matrix` is camera to world with OpenGL's (x right, y up, z back)."""
    try:
        c2w = np.array(frame["transform_matrix"], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{where}: transform_matrix is not a matrix of numbers. Export it again.") from error
    if c2w.shape not in ((4, 4), (3, 4)) or not np.allclose(c2w[3:], [0, 0, 0, 1]):
        raise DatasetError(f"{where}: transform_matrix is not 3×4, nor 4×4 with last row 0 0 0 1. Export it again.")
    check_w2c(c2w[:3], where)
    return np.linalg.inv(np.concatenate([c2w[:3], [[0, 0, 0, 1]]]) @ OPENGL_TO_OPENCV)[:3]


def camera_of(content: Fields, frame: Fields, size: tuple[int, int], where: str) -> LensCamera:
    """Return the camera of a frame whose photograph has `size` (height, width); for the size that the file gives.

    The principal point is in COLMAP's pixels, whose first centre is (½, ½), as instant-ngp and nerfstudio write it.
    """
    levels = (frame, content)
    width, height = (_first(levels, name, where) for name in ("w", "h"))
    if (width is None) != (height is None):
        raise DatasetError(f"{where}: has only one of w and h. Give both, or none of them.")
    sized = width is not None
    width, height = (width, height) if sized else (float(size[1]), float(size[0]))
    if not (width == int(width) and height == int(height)):
        raise DatasetError(f"{where}: w and h are {width} and {height}, whole numbers were expected.")
    _check_own_size(levels, where)
    focal_x, focal_y = _focals(levels, width, height, where)
    centre = []
    for name, side in (("cx", width), ("cy", height)):
        place = _first(levels, name, where)
        if place is not None and not sized and not MIDDLE[0] <= place / side <= MIDDLE[1]:
            raise DatasetError(
                f"{where}: {name} is {place:g}, but the photograph is {size[1]}×{size[0]}: it seems to be for another "
                "size. Add w and h, the size that the intrinsics are for."
            )
        centre.append(side / 2 if place is None else place)
    model, lens = _lens(levels, where)
    return LensCamera(model, int(width), int(height), (focal_x, focal_y, *centre, *lens))


def _check_own_size(levels: tuple[Fields, Fields], where: str) -> None:
    """Raise `DatasetError` where the file's values in pixels are for another size than the frame's own.

    The file's focal length stands for a photograph of another shape, as of a camera turned or cropped; of the same
    shape, it is one of another scale.
    """
    frame, content = levels
    (width, height), (file_width, file_height) = (
        [_number(level, name, where) for name in ("w", "h")] for level in levels
    )
    wider, higher = (None not in pair and pair[0] != pair[1] for pair in ((width, file_width), (height, file_height)))
    taken = [name for name, differs in (("cx", wider), ("cy", higher)) if differs and name in content.keys() - frame]
    if wider and higher and abs(width * file_height - height * file_width) < AGREEMENT * width * file_height:
        taken += [name for name in ("fl_x", "fl_y") if name in content and not frame.keys() & {*FOCALS_X, *FOCALS_Y}]
    if taken:
        raise DatasetError(
            f"{where}: has a size of its own, w and h, but the file's {', '.join(taken)}, in pixels of the file's size."
            " Give the frame its own, or remove its w and h."
        )


def sized_by_photographs(content: Fields, frames: Iterable[Fields]) -> bool:
    """Tell whether a focal length is in pixels of a size that nothing in the file tells."""
    pixels, sizes = {"fl_x", "fl_y"}, {"w", "cx"}
    return any(pixels & (content.keys() | frame) and not sizes & (content.keys() | frame) for frame in frames)


def shares_centre(content: Fields, frames: Iterable[Fields]) -> bool:
    """Tell whether frames take the file's principal point, in pixels of a size that is not given."""
    return "cx" in content and any(not {"w", "cx"} & frame.keys() and "w" not in content for frame in frames)


def _focals(levels: tuple[Fields, Fields], width: float, height: float, where: str) -> tuple[float, float]:
    """Return (fx, fy) in pixels, of the frame in any form, else of the file.

    Where only one of the two is there, pixels are square; or, if the file has both, as high to wide as its own.
    """
    (x, y), (file_x, file_y) = (
        [_focal(level, names, side, where) for names, side in ((FOCALS_X, width), (FOCALS_Y, height))]
        for level in levels
    )
    if x is None and y is None:
        x, y = file_x, file_y
    elif x is None or y is None:
        aspect = file_y / file_x if file_x and file_y else None
        x = x if x is not None else y / aspect if aspect else file_x
        y = y if y is not None else x * aspect if aspect else file_y
    if x is None and y is None:
        expected = "fl_x (pixels), camera_angle_x (radians) or x_fov (degrees) was expected"
        raise DatasetError(f"{where}: {expected}. Export it again.")
    return (y if x is None else x), (x if y is None else y)


def _focal(level: Fields, names: tuple[str, str, str], side: float, where: str) -> float | None:
    pixels, radians, degrees = (_number(level, name, where) for name in names)
    found = {} if pixels is None else {names[0]: pixels}
    for name, angle in ((names[1], radians), (names[2], None if degrees is None else math.radians(degrees))):
        if angle is not None and not 0 < angle < math.pi:
            raise DatasetError(
                f"{where}: {name} is {level[name]}, an angle between 0 and 180° was expected. Correct it."
            )
        if angle is not None:
            found[name] = side / 2 / math.tan(angle / 2)
    if len(found) > 1 and max(found.values()) > min(found.values()) * (1 + AGREEMENT):
        said = " and ".join(f"{name}={level[name]:g}" for name in found)
        raise DatasetError(f"{where}: {said} do not agree for {side:g} pixels. Remove the wrong one.")
    return next(iter(found.values()), None)


def _lens(levels: tuple[Fields, ...], where: str) -> tuple[str, tuple[float, ...]]:
    """Return COLMAP's name of the camera model and its parameters after the principal point."""
    given = dict.fromkeys(LENS, 0.0)
    for level in reversed(levels):  # a frame's own coefficients stand before the file's, one by one
        given |= _distortion(level, where)
    k1, k2, k3, k4, p1, p2 = given.values()
    said = next((level["camera_model"] for level in levels if "camera_model" in level), None)
    fisheye = next((_is_fisheye(level, where) for level in levels if "is_fisheye" in level), None)
    if said is None:
        said = "OPENCV_FISHEYE" if fisheye else "OPENCV"
    if said not in (*PERSPECTIVE, *FISHEYE):
        known = ", ".join((*PERSPECTIVE, *FISHEYE))
        raise DatasetError(f"{where}: the camera_model {said!r} is unknown. Known are {known}.")
    if fisheye is not None and fisheye != (said in FISHEYE):
        raise DatasetError(f"{where}: camera_model is {said}, but is_fisheye {str(fisheye).lower()}. Correct one.")
    if said in FISHEYE:
        if p1 or p2:
            raise DatasetError(f"{where}: p1 and p2 of a fisheye camera have no counterpart here. Calibrate without.")
        return "OPENCV_FISHEYE", (k1, k2, k3, k4)
    if k4:
        raise DatasetError(f"{where}: k4 of an {said} camera has no counterpart here. Calibrate with k1 to k3.")
    if not any((k1, k2, k3, p1, p2)):
        return "PINHOLE", ()
    return "FULL_OPENCV", (k1, k2, p1, p2, k3, 0.0, 0.0, 0.0)  # the last three are of a denominator


def _distortion(level: Fields, where: str) -> dict[str, float]:
    """Return those of k1 to k4, p1, p2 that a level has, alone or as the list distortion_params, which has all."""
    single = {name: value for name in LENS if (value := _number(level, name, where)) is not None}
    listed = level.get("distortion_params")
    if listed is None or _is_nothing(listed):
        return single if listed is None else dict.fromkeys(LENS, 0.0) | single
    if not isinstance(listed, list) or len(listed) != len(LENS):
        raise DatasetError(f"{where}: distortion_params is {str(listed)[:80]}, [{', '.join(LENS)}] was expected.")
    values = {name: _number({name: value}, name, where) for name, value in zip(LENS, listed, strict=True)}
    if single and values != dict.fromkeys(LENS, 0.0) | single:
        raise DatasetError(f"{where}: distortion_params and {', '.join(LENS)} do not agree. Remove one of the two.")
    return values


def _is_fisheye(level: Fields, where: str) -> bool:
    value = level["is_fisheye"]
    if str(value).lower() in ("true", "false", "0", "1"):
        return str(value).lower() in ("true", "1")
    raise DatasetError(f"{where}: is_fisheye is {value!r}, true or false was expected. Correct it.")


def _first(levels: tuple[Fields, Fields], name: str, where: str) -> float | None:
    return next((value for level in levels if (value := _number(level, name, where)) is not None), None)


def _number(level: Fields, name: str, where: str) -> float | None:
    if name not in level:
        return None
    value = level[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise DatasetError(f"{where}: {name} is {value!r}, a number was expected. Correct it.")
    return float(value)
