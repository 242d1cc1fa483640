import shutil
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.captures.capture_contents import find_model, list_photographs, warn_of_unused
from maskrf_core.datasets.captures.capture_preparation import prepare_capture
from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import DatasetError
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.readers.tree_parts import write_picture
from tests.datasets.traced_scene import dome_camera

CAMERA = LensCamera("PINHOLE", 48, 36, (40.0, 41.0, 24.0, 18.0))
POINTS = np.random.default_rng(0).normal(0, 0.3, (20, 3))
NAME = "capture/shelf/raw"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "captures/shelf"


def write_photographs(folder: Path, *names: str) -> None:
    for name in names:
        write_picture(folder / "images" / name, 36, 48)


def write_cameras(model: Path, *names: str, text: bool = False) -> None:
    """The k-th name has the k-th camera of a dome of 12."""
    write_model(model, {name: (CAMERA, dome_camera(k, 12)) for k, name in enumerate(names)}, POINTS, text=text)


@pytest.mark.parametrize(
    ("counts", "largest"),
    [
        ({"sparse/0": 3, "sparse/1": 6}, "sparse/1"),
        ({"sparse/0": 6, "sparse/1": 3, "sparse/2": 4}, "sparse/0"),
        ({"sparse/0": 4, "sparse/1": 4}, "sparse/0"),
        ({"sparse/9": 4, "sparse/10": 4}, "sparse/9"),
        ({"sparse": 3, "sparse/0": 4}, "sparse/0"),
        ({"sparse/0": 3, "colmap/sparse/0": 5}, "colmap/sparse/0"),
    ],
)
@pytest.mark.parametrize("text", [False, True])
def test_the_model_with_most_images_counts_and_the_others_are_named(
    tmp_path: Path, folder: Path, counts: dict[str, int], largest: str, text: bool
):
    names = [f"{number}.png" for number in range(max(counts.values()))]
    write_photographs(folder, *names)
    for place, count in counts.items():
        write_cameras(folder / place, *names[:count], text=text)
    with pytest.warns(UserWarning, match="models") as said:
        scene = open_scene(NAME, tmp_path)
    assert scene.image_ids == [str(number) for number in range(counts[largest])]
    (of_models,) = (str(each.message) for each in said if "models" in str(each.message))
    for place, count in counts.items():
        assert f"{place} ({count} images)" in of_models
    assert of_models.index(f"{largest} (") == min(of_models.index(f"{place} (") for place in counts)


def test_a_damaged_model_beside_a_whole_one_is_named(tmp_path: Path, folder: Path):
    names = [f"{number}.png" for number in range(5)]
    write_photographs(folder, *names)
    for place, count in {"sparse/0": 5, "sparse/1": 4}.items():
        write_cameras(folder / place, *names[:count], text=False)
    images = folder / "sparse/0/images.bin"
    images.write_bytes(images.read_bytes()[:-9])
    with pytest.warns(UserWarning, match=r"sparse/1 \(4 images\) is used, not sparse/0 \(damaged"):
        assert open_scene(NAME, tmp_path).image_ids == ["0", "1", "2", "3"]
    (folder / "sparse/1/images.bin").write_bytes(b"")
    with pytest.raises(DatasetError, match="all of its 2 models are damaged"):
        open_scene(NAME, tmp_path)


def test_nerfstudio_s_model_is_found(tmp_path: Path, folder: Path):
    names = [f"{number}.png" for number in range(4)]
    write_photographs(folder, *names)
    write_cameras(folder / "colmap/sparse/0", *names)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert open_scene(NAME, tmp_path).image_ids == ["0", "1", "2", "3"]
    shutil.move(folder / "colmap/sparse/0/images.bin", folder / "images.bin")
    with pytest.raises(DatasetError, match=r"colmap/sparse: holds no COLMAP model"):
        find_model(folder)


def test_photographs_without_a_camera_are_named_and_counted(tmp_path: Path, folder: Path):
    names = [f"{number:02}.png" for number in range(12)]
    write_photographs(folder, *names)
    write_cameras(folder / "sparse/0", *names[:4])
    with pytest.warns(UserWarning, match=r"sparse/0: 8 of 12 photographs .*04\.png, 05\.png") as said:
        assert len(open_scene(NAME, tmp_path).image_ids) == 4
    assert len(said) == 1


def test_numbers_without_padding_keep_picture_camera_and_order(tmp_path: Path, folder: Path):
    names = [f"{number}.png" for number in range(12)]
    write_photographs(folder, *names)
    write_cameras(folder / "sparse/0", *names)
    scene = open_scene(NAME, tmp_path)
    assert scene.image_ids == [str(number) for number in range(12)]
    for number in range(12):
        np.testing.assert_allclose(scene.w2c(str(number)), dome_camera(number, 12), atol=1e-9)
        photograph = cv2.imread(str(folder / f"images/{number}.png"))[..., ::-1]
        np.testing.assert_array_equal(scene.image(str(number)), photograph)


def test_a_rig_s_photographs_in_sub_folders(tmp_path: Path, folder: Path):
    names = [f"cam{camera}/{number}.png" for camera in range(2) for number in range(3)]
    write_photographs(folder, *names)
    assert list_photographs(folder) == [folder / "images" / name for name in names]
    write_cameras(folder / "sparse/0", *names)
    scene = open_scene(NAME, tmp_path)
    assert scene.image_ids == names
    for k, image_id in enumerate(names):
        np.testing.assert_allclose(scene.w2c(image_id), dome_camera(k, 12), atol=1e-9)


def test_names_as_other_systems_write_them(tmp_path: Path, folder: Path):
    write_photographs(folder, "a/0.JPG", "a/my photo 1.png", "a/2.jpeg")
    write_cameras(folder / "sparse/0", "a\\0.jpg", ".\\a\\my photo 1.PNG", "./a/2", text=True)
    scene = open_scene(NAME, tmp_path)
    assert scene.image_ids == ["0", "2", "my photo 1"]
    for image_id, k in (("0", 0), ("my photo 1", 1), ("2", 2)):
        np.testing.assert_allclose(scene.w2c(image_id), dome_camera(k, 12), atol=1e-9)


def test_one_photograph_under_two_names_is_refused(tmp_path: Path, folder: Path):
    write_photographs(folder, "0.png", "1.png", "2.png")
    write_cameras(folder / "sparse/0", "0.png", "1.png", "2.png", "./1.png")
    with pytest.raises(DatasetError, match=r"1\.png twice"):
        open_scene(NAME, tmp_path)


def test_a_video_beside_photographs_is_named(tmp_path: Path, folder: Path):
    write_photographs(folder, "0.png")
    (folder / "clip.MP4").write_bytes(b"x")
    with (
        pytest.warns(UserWarning, match=r"clip\.MP4"),
        pytest.raises(DatasetError, match="1 photographs, at least 3 are needed"),
    ):
        prepare_capture(NAME, tmp_path)


def test_cameras_of_smaller_copies_leave_no_photograph_out(folder: Path, recwarn):
    """nerfstudio keeps images_2 beside images; which of them is used is the file's to say."""
    write_photographs(folder, "0.png", "1.png")
    copies = [folder / f"images_2/{view}.png" for view in range(2)]
    warn_of_unused(folder, copies, folder / "transforms.json")
    assert not recwarn
    warn_of_unused(folder, [folder / "images/0.png"], folder / "transforms.json")
    assert "1 of 2 photographs have no camera" in str(recwarn.pop().message)
