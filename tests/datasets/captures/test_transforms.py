import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.captures import transforms
from maskrf_core.support.errors import DatasetError

FRAMES = ("c", "a", "b", "d")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Four photographs of 24×16, listed out of order; the k-th camera of the names stands at (1, 2, k)."""
    frames = []
    for name in FRAMES:
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((16, 24, 3), np.uint8))
        c2w = np.eye(4)
        c2w[:3, 3] = 1, 2, ord(name) - ord("a")
        frames.append({"file_path": f"./{name}.png", "transform_matrix": c2w.tolist()})
    content = {"fl_x": 20.0, "fl_y": 21.0, "cx": 12.5, "cy": 8.5, "w": 24.0, "h": 16, "k1": 0.1, "frames": frames}
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    return tmp_path / "transforms.json"


def source_from_transforms(path: Path):
    return transforms.source_from_transforms(transforms.transforms_files(path.parent))


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


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


def camera(path: Path, index: int = 2):
    """The camera of c.png, the first frame."""
    return source_from_transforms(path).photographs[index].camera


ANGLE_X, ANGLE_Y = 2 * math.atan(24 / 2 / 20), 2 * math.atan(16 / 2 / 21)


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


def test_a_photograph_that_two_parts_list_is_said(path: Path):
    edit(path, lambda c: c.update(train_filenames=["a.png", "b.png", "c.png"], test_filenames=["./c.png", "d.png"]))
    with pytest.warns(UserWarning, match=r"in more than one of train_filenames.*: c\.png\.$"):
        source = source_from_transforms(path)
    assert [photo.part for photo in source.photographs] == ["train", "train", "test", "test"]
