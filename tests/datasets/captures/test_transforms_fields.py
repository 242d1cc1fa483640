"""What each field of transforms.json does, in every form it is written in."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.support.errors import DatasetError
from tests.datasets.captures.small_transforms import FRAMES, camera, edit, source_from_transforms, write_transforms

ANGLE_X, ANGLE_Y = 2 * math.atan(24 / 2 / 20), 2 * math.atan(16 / 2 / 21)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_transforms(tmp_path)


@pytest.mark.parametrize(
    "form",
    [
        {"camera_angle_x": ANGLE_X, "camera_angle_y": ANGLE_Y},
        {"fl_x": 20, "camera_angle_y": ANGLE_Y},
        {"x_fov": math.degrees(ANGLE_X), "y_fov": math.degrees(ANGLE_Y)},
        {"fl_x": 20, "fl_y": 21, "camera_angle_x": ANGLE_X, "y_fov": math.degrees(ANGLE_Y)},
    ],
)
@pytest.mark.parametrize("of_the_frame", [False, True])
def test_focal_lengths_in_every_form(path: Path, form: dict, of_the_frame: bool):
    """A frame's own stands before the file's, whatever the forms."""

    def change(content: dict) -> None:
        for name in ("fl_x", "fl_y"):
            content.pop(name)
        content.update({"fl_x": 50, "camera_angle_y": 0.2} if of_the_frame else form)
        content["frames"][0] |= form if of_the_frame else {}

    edit(path, change)
    np.testing.assert_allclose(np.diag(camera(path).K)[:2], [20, 21])
    if of_the_frame:
        np.testing.assert_allclose(np.diag(camera(path, 0).K)[:2], [50, 8 / math.tan(0.1)])


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"fl_x": 40}, (40, 42)),  # the file's 20 and 21 say how high its pixels are
        ({"camera_angle_y": ANGLE_Y}, (20, 21)),
        ({"y_fov": math.degrees(2 * math.atan(8 / 42))}, (40, 42)),
    ],
)
def test_a_frame_with_one_focal_length_keeps_the_pixel_aspect_of_the_file(path: Path, frame: dict, expected: tuple):
    edit(path, lambda content: content["frames"][0].update(frame))
    np.testing.assert_allclose(np.diag(camera(path).K)[:2], expected)


@pytest.mark.parametrize("model", [None, "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"])
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("of_the_frame", [False, True])
def test_the_lens_under_any_name_of_a_perspective_camera(
    path: Path, model: str | None, listed: bool, of_the_frame: bool
):
    expected = camera(path)  # k1 = 0.1 of the file, with p2
    lens = {"distortion_params": [0.1, 0, 0, 0, 0, 0]} if listed else {"k1": 0.1}

    def change(content: dict) -> None:
        content.pop("k1")
        content.update({"k1": 0.7} if of_the_frame else lens, **({"camera_model": model} if model else {}))
        content["frames"][0] |= lens if of_the_frame else {}

    edit(path, change)
    assert camera(path) == expected


@pytest.mark.parametrize(("value", "fisheye"), [("false", False), ("True", True), (False, False), (1, True)])
def test_is_fisheye_as_text_is_what_it_says(path: Path, value: object, fisheye: bool):
    edit(path, lambda content: content.update(is_fisheye=value))
    assert camera(path).model == ("OPENCV_FISHEYE" if fisheye else "FULL_OPENCV")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.update(latlong=True), "latlong"),
        (lambda c: c.update(equirectangular="true"), "equirectangular"),
        (lambda c: c["frames"][1].update(orthographic=1), "orthographic"),
        (lambda c: c.update(ftheta_p3=0.01), "ftheta_p3"),
        (lambda c: c.update(rolling_shutter=[0, 0, 1, 0]), "rolling_shutter"),
        (lambda c: c["frames"][0].update(transform_matrix_start=np.eye(4).tolist()), "transform_matrix_start"),
        (lambda c: c.update(from_mitsuba=True), "from_mitsuba"),
        (lambda c: c.update(intrinsic_matrix=[[1, 0, 0]]), "intrinsic_matrix"),
        (lambda c: c.update(k5=0.1), "k5"),
        (lambda c: c.update(distortion_params=[0.1, 0.2]), "distortion_params"),
        (lambda c: c.update(distortion_params=[0.2, 0, 0, 0, 0, 0]), "distortion_params and k1"),
        (lambda c: c.update(is_fisheye="perhaps"), "is_fisheye"),
        (lambda c: c.update(is_fisheye=True, camera_model="OPENCV"), "is_fisheye"),
        (lambda c: c.update(camera_model="OPENCV_FISHEYE", p1=0.1), "p1 and p2"),
        (lambda c: c["frames"][2].update(camera_model="ORTHOPHOTO"), "ORTHOPHOTO"),
        (lambda c: c.update(camera_angle_x=0.3), "fl_x=20 and camera_angle_x=0.3"),
        (lambda c: c.update(x_fov=200), "x_fov"),
        (lambda c: c.pop("w"), "only one of w and h"),
        (lambda c: c.pop("h"), "only one of w and h"),
        (lambda c: [c.pop("w"), c.pop("h"), c.update(cx=50.0, cy=34.0)], "add w and h|Add w and h"),
    ],
)
def test_what_would_change_the_geometry_is_refused_by_name(path: Path, change, named: str):
    edit(path, change)
    with pytest.raises(DatasetError, match=named):
        source_from_transforms(path)


def test_what_has_no_effect_and_what_is_not_known(path: Path, recwarn):
    harmless = {"aabb_scale": 16, "ply_file_path": "a.ply", "latlong": False, "rolling_shutter": [0, 0, 0, 0]}
    edit(path, lambda content: content.update(harmless))
    expected = camera(path)
    assert not recwarn
    edit(path, lambda content: content["frames"][0].update(sharpnes=3))
    with pytest.warns(UserWarning, match=r"not known .*: sharpnes\."):
        assert camera(path) == expected


def test_focal_lengths_of_no_size_are_said_or_refused(path: Path):
    def change(content: dict) -> None:
        for name in ("w", "h", "cx", "cy"):
            content.pop(name)

    edit(path, change)
    with pytest.warns(UserWarning, match="24×16"):
        np.testing.assert_allclose(camera(path).K[:2, 2], [12, 8])
    cv2.imwrite(str(path.parent / "a.png"), np.zeros((32, 48, 3), np.uint8))
    with pytest.raises(DatasetError, match="differ in size"):
        source_from_transforms(path)


def test_a_frame_s_own_distortion_stands_before_the_file_s_one_by_one(path: Path):
    """A frame that gives k1 alone keeps the file's k2 and p1."""

    def change(content: dict) -> None:
        content |= {"k1": 0.1, "k2": 0.02, "p1": 0.003}
        content["frames"][1] |= {"k1": 0.2}  # a
        content["frames"][2] |= {"distortion_params": [0.05, 0, 0, 0, 0, 0]}  # b

    edit(path, change)
    a, b, c, _ = (photo.camera.params[4:8] for photo in source_from_transforms(path).photographs)
    assert (a, b, c) == ((0.2, 0.02, 0.003, 0), (0.05, 0, 0, 0), (0.1, 0.02, 0.003, 0))


@pytest.mark.parametrize("size", [(20, 30), (16, 30)])
def test_intrinsics_of_the_file_without_a_size_fit_photographs_of_one_size_alone(path: Path, size: tuple[int, int]):
    edit(path, lambda c: [c.pop(name) for name in ("w", "h")])
    cv2.imwrite(str(path.parent / "b.png"), np.zeros((*size, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"transforms\.json: .*photographs differ in size\. Add w and h"):
        source_from_transforms(path)
    for name in FRAMES:
        cv2.imwrite(str(path.parent / f"{name}.png"), np.zeros((20, 30, 3), np.uint8))
    edit(path, lambda c: c.update(cx=18.5))  # of photographs that were 37 wide
    with pytest.raises(DatasetError, match=r"frame 0 .*cx is 18\.5, but the photograph is 30×20"):
        source_from_transforms(path)


def test_pixels_of_the_file_are_not_those_of_a_frame_of_another_size(path: Path):
    """Half the size has half the focal length; in which pixels the file's counts is not known."""
    edit(path, lambda c: c["frames"][1].update(w=12, h=8))
    with pytest.raises(DatasetError, match=r"frame 1 .*a size of its own.*cx, cy, fl_x, fl_y"):
        source_from_transforms(path)
    edit(path, lambda c: c["frames"][1].update(fl_x=10.0, fl_y=10.5, cx=6.25, cy=4.25))
    own, other, *_ = source_from_transforms(path).photographs
    np.testing.assert_allclose(own.camera.params[:4], other.camera.params[:4])
