"""Photographs and their cameras, found through transforms.json."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.support.errors import DatasetError
from tests.datasets.captures.small_transforms import edit, source_from_transforms, write_transforms


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_transforms(tmp_path)


ANGLE_X, ANGLE_Y = 2 * math.atan(24 / 2 / 20), 2 * math.atan(16 / 2 / 21)


def test_axes_and_order_by_hand(path: Path):
    """An OpenGL camera without rotation looks along -z with y up; OpenCV's z is forward and y is down."""
    source = source_from_transforms(path)
    assert [photo.path.name for photo in source.photographs] == ["a.png", "b.png", "c.png", "d.png"]
    for k, photo in enumerate(source.photographs):
        np.testing.assert_allclose(photo.w2c, [[1, 0, 0, -1], [0, -1, 0, 2], [0, 0, -1, k]], atol=1e-12)
    ahead_and_above = np.array([1.0, 2.5, -4.0])
    x, y, z = source.photographs[1].w2c @ [*ahead_and_above, 1]
    assert (x, y, z) == (0, -0.5, 5)


def test_lens_by_hand(path: Path):
    """OPENCV: a point at (x, y) = (0.3, 0.2) is moved out by 1 + k1 r² + k2 r⁴ + k3 r⁶ and by p1, p2."""
    edit(path, lambda c: c.update(k2=0.02, k3=0.003, p1=0.004, p2=0.005))
    camera = source_from_transforms(path).photographs[0].camera
    x, y, r2 = 0.3, 0.2, 0.13
    radial = 1 + 0.1 * r2 + 0.02 * r2**2 + 0.003 * r2**3
    moved_x = x * radial + 2 * 0.004 * x * y + 0.005 * (r2 + 2 * x * x)
    moved_y = y * radial + 0.004 * (r2 + 2 * y * y) + 2 * 0.005 * x * y
    ours = camera.project(np.array([[0.6, 0.4, 2.0]]))[0]
    np.testing.assert_allclose(ours, [20 * moved_x + 12.5, 21 * moved_y + 8.5], rtol=1e-12)


def test_fisheye_by_hand(path: Path):
    """Equidistant: the angle θ from the axis is θ (1 + k1 θ² + …) focal lengths from the centre."""
    edit(path, lambda c: c.update(camera_model="OPENCV_FISHEYE"))
    camera = source_from_transforms(path).photographs[0].camera
    angle = math.atan(0.5)
    ours = camera.project(np.array([[0.5, 0.0, 1.0]]))[0]
    np.testing.assert_allclose(ours, [20 * angle * (1 + 0.1 * angle**2) + 12.5, 8.5], rtol=1e-12)


def test_camera_angle_alone_and_frames_of_their_own(path: Path):
    def change(content: dict) -> None:
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h", "k1"):
            content.pop(key)
        content["camera_angle_x"] = 0.9
        content["frames"][0] |= {"fl_x": 33.0, "w": 24, "h": 16}

    edit(path, change)
    a, _, c, _ = (photo.camera for photo in source_from_transforms(path).photographs)
    focal = 12 / math.tan(0.45)
    np.testing.assert_allclose(a.K, [[focal, 0, 12], [0, focal, 8], [0, 0, 1]])
    np.testing.assert_allclose(c.K, [[33, 0, 12], [0, 33, 8], [0, 0, 1]])
    assert a.is_pinhole


def test_smaller_photographs_than_the_cameras_say(path: Path):
    """Exported for 48×32, with photographs of 24×16: the camera is scaled to them."""
    edit(path, lambda c: c.update(w=48, h=32, fl_x=40, fl_y=42, cx=25, cy=17))
    np.testing.assert_allclose(
        source_from_transforms(path).photographs[0].camera.K, [[20, 0, 12.5], [0, 21, 8.5], [0, 0, 1]]
    )


def test_absent_photographs_are_named_once_and_left_out(path: Path):
    (path.parent / "c.png").unlink()
    with pytest.warns(UserWarning, match=r"1 of 4 listed photographs are missing and left out: \./c\.png\.") as said:
        assert len(source_from_transforms(path).photographs) == 3
    assert len(said) == 1
    (path.parent / "a.png").unlink()
    with pytest.raises(
        DatasetError, match=r"transforms\.json: lists 2 .*2 are missing: \./c\.png, \./a\.png\. At least 3"
    ):
        source_from_transforms(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("frames"), "'frames' is not a list"),
        (lambda c: c["frames"][1].pop("file_path"), "frame 1 has no file_path"),
        (lambda c: c["frames"][1].update(file_path="../a.png"), "not inside the scene"),
        (lambda c: c["frames"].append(c["frames"][0]), "lists ./c.png twice"),
        (lambda c: c["frames"][1].pop("transform_matrix"), r"frame 1 \(\./a\.png\): transform_matrix is not a matrix"),
        (lambda c: c["frames"][1].update(transform_matrix=[[1, 0], [0, 1]]), "is not 3×4, nor 4×4"),
        (lambda c: c["frames"][1]["transform_matrix"][0].__setitem__(0, float("nan")), "NaN"),
        (lambda c: c["frames"][1]["transform_matrix"][0].__setitem__(0, 2.0), "not a rotation"),
        (lambda c: c.update(fl_x="long"), "fl_x is 'long', a number was expected"),
        (lambda c: c.update(fl_x=-3), "positive focal lengths"),
        (lambda c: c.update(k1=float("nan")), "k1 is nan"),
        (lambda c: c.update(k4=0.1), "k4 of an OPENCV camera"),
        (lambda c: c.update(camera_model="EQUIRECTANGULAR"), "'EQUIRECTANGULAR' is unknown. Known are PINHOLE"),
        (lambda c: [c.pop(key) for key in ("fl_x", "fl_y")], "fl_x .*was expected"),
        (lambda c: c.update(w=24.5), "whole numbers"),
        (lambda c: c.update(w=-24), "a camera of -24×16 pixels .* is damaged"),
        (lambda c: c["frames"][1].update(file_path="x" * 300), "too long for a file"),
        (lambda c: c.update(w=100), "is 24×16, but its camera is for 100×16"),
    ],
)
def test_faults(path: Path, change, message: str):
    edit(path, change)
    with pytest.raises(DatasetError, match=message) as error:
        source_from_transforms(path)
    assert str(path.parent) in str(error.value)


def test_the_fingerprint_follows_every_file(path: Path):
    first = source_from_transforms(path).fingerprint
    assert source_from_transforms(path).fingerprint == first
    cv2.imwrite(str(path.parent / "d.png"), np.full((16, 24, 3), 7, np.uint8))
    second = source_from_transforms(path).fingerprint
    edit(path, lambda c: c.update(k1=0.2))
    assert len({first, second, source_from_transforms(path).fingerprint}) == 3


def test_splits_of_nerfstudio_s_lists_and_of_files_of_their_own(path: Path):
    edit(path, lambda c: c.update(train_filenames=["a.png", "./b.png", "c.png"], test_filenames=["./d.png"]))
    parts = [photo.part for photo in source_from_transforms(path).photographs]
    assert parts == ["train", "train", "train", "test"]
    content = json.loads(path.read_text())
    path.unlink()
    for part, rows in {"train": [1, 2, 0], "val": [3], "test": [0, 3]}.items():
        listed = content | {"frames": [content["frames"][row] for row in rows], "camera_angle_x": ANGLE_X}
        named = path.with_name(f"transforms_{part}.json")
        named.write_text(json.dumps({k: v for k, v in listed.items() if not k.endswith("filenames")}))
    with pytest.warns(UserWarning, match=r"transforms_test\.json: lists what another part lists"):
        photographs = source_from_transforms(path).photographs
    assert [(photo.path.stem, photo.part) for photo in photographs] == list(
        zip("abcd", ["train"] * 3 + ["val"], strict=True)
    )


def test_a_photograph_that_two_parts_list_is_said(path: Path):
    edit(path, lambda c: c.update(train_filenames=["a.png", "b.png", "c.png"], test_filenames=["./c.png", "d.png"]))
    with pytest.warns(UserWarning, match=r"in more than one of train_filenames.*: c\.png\.$"):
        source = source_from_transforms(path)
    assert [photo.part for photo in source.photographs] == ["train", "train", "test", "test"]
