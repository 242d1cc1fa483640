from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.datasets.scene import open_scene, scene_names
from maskrf_core.support.errors import DatasetError
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.readers.published import assert_as_published
from tests.datasets.readers.trees.example import CAMERA, build
from tests.datasets.traced_scene import dome_camera


@pytest.mark.parametrize(("size", "grey_levels"), [("raw", 0), ("160", 2)])
def test_reproduces_the_reference_reader(shared: Path, size: str, grey_levels: int):
    scene = assert_as_published(shared, f"example/desk/{size}", grey_levels=grey_levels)
    assert scene.split("train") == (scene.image_ids, scene.image_ids)
    assert scene.split("test") == (["2", "3", "4"], ["1"])


def test_opens_and_lists_its_scenes(tmp_path: Path):
    assert scene_names("example", tmp_path) == []
    name = build(tmp_path)
    assert scene_names("example", tmp_path) == [name]
    write_colmap_depth(
        tmp_path / "example/desk/dense/stereo/depth_maps/1.jpg.geometric.bin", np.full((36, 48), 2, np.float32)
    )
    scene = open_scene("example/desk/24", tmp_path)
    assert scene.image("1").shape == (18, 24, 3)
    assert scene.mask("1").all()
    assert scene.depth("1") is None
    assert scene.depth("2").shape == (18, 24)
    np.testing.assert_allclose(scene.K("1"), [[20, 0, 12], [0, 20.5, 9], [0, 0, 1]])
    assert not (tmp_path / "cache").exists()


def test_the_model_with_most_images_counts(tmp_path: Path):
    name = build(tmp_path)
    folder = tmp_path / "example/desk/sparse"
    (folder / "0").rename(folder / "1")
    write_model(folder / "0", {"3.jpg": (CAMERA, dome_camera(3, 4))}, np.zeros((1, 3)))
    with pytest.warns(UserWarning, match=r"sparse/1 \(4 images\) is used, not sparse/0 \(1 images\)"):
        scene = open_scene(name, tmp_path)
    assert scene.image_ids == ["1", "2", "3", "4"]
    (folder / "1/images.bin").unlink()
    with pytest.warns(UserWarning, match=r"3 of 4 photographs have no camera .*0\.jpg, 1\.jpg, 2\.jpg"):
        assert open_scene(name, tmp_path).image_ids == ["1"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("example/desk/49", "49 pixels are asked for, .* have 48 and are never enlarged. Open example/desk/48 "),
        ("example/desk/0", "such as example/desk/raw"),
        ("example/desk", "such as example/desk/raw"),
        ("example/desc/raw", "Did you mean 'desk'"),
    ],
)
def test_names_that_cannot_be_opened(tmp_path: Path, name: str, message: str):
    build(tmp_path)
    with pytest.raises(DatasetError, match=message):
        open_scene(name, tmp_path)


@pytest.mark.filterwarnings("ignore:.*have no camera")
def test_faults(tmp_path: Path):
    build(tmp_path)
    folder = tmp_path / "example/desk"
    cv2.imwrite(str(folder / "images/1.jpg"), np.zeros((48, 36, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"1\.jpg: the image is 36×48, but 0\.jpg is 48×36"):
        open_scene("example/desk/raw", tmp_path)
    lens = LensCamera("SIMPLE_RADIAL", 48, 36, (40.0, 24.0, 18.0, 0.1))
    write_model(folder / "sparse/0", {"0.jpg": (lens, dome_camera(0, 2))}, np.zeros((1, 3)))
    with pytest.raises(DatasetError, match=r"SIMPLE_RADIAL with distortion.*open capture/<name>/raw"):
        open_scene("example/desk/raw", tmp_path)
    pinhole = LensCamera("PINHOLE", 36, 48, (40.0, 40.0, 18.0, 24.0))
    write_model(folder / "sparse/0", {"0.jpg": (pinhole, dome_camera(0, 2))}, np.zeros((1, 3)))
    with pytest.raises(DatasetError, match=r"images are 48×36, but the camera of 0\.jpg is 36×48"):
        open_scene("example/desk/raw", tmp_path)
    pinhole = LensCamera("PINHOLE", 48, 36, (40.0, 40.0, 24.0, 18.0))
    write_model(folder / "sparse/0", {"0.jpg": (pinhole, dome_camera(0, 2))}, np.zeros((0, 3)))
    with pytest.raises(DatasetError, match="has no points, which depth ranges are taken from"):
        open_scene("example/desk/raw", tmp_path)
