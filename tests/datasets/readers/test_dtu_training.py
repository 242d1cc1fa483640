from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene, scene_names
from maskrf_core.support.errors import DatasetError
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.readers.published import assert_as_published
from tests.datasets.readers.tree_parts import write
from tests.datasets.readers.trees.dtu_train import K, build, cameras


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    build(tmp_path)
    return tmp_path


def test_reproduces_the_reference_reader(shared: Path):
    assert_as_published(shared, "dtu_train/scan1", grey_levels=0)


def test_camera_splits_and_names(data_root: Path):
    scene = open_scene("dtu_train/scan1", data_root)
    np.testing.assert_allclose(scene.K("2"), K, atol=1e-6)
    np.testing.assert_allclose(scene.w2c("2")[:, 3], [0, 0, 2.5], atol=1e-6)  # the sphere's centre is 2.5 in front
    assert scene.depth_range("2") == (0.8, 4)
    assert scene.split("train") == (["0", "1", "2", "3"],) * 2
    assert scene.split("test") == (["1", "2", "3"], ["0"])
    (data_root / "dtu_train/scan106").mkdir()  # held out
    assert scene_names("dtu_train", data_root) == ["dtu_train/scan1"]


def test_numbers_without_padding_are_the_numbers_of_the_cameras(tmp_path: Path):
    folder = tmp_path / "dtu_train/scan1"
    for number in range(12):
        write(folder / f"image/{number}.png", np.full((30, 40, 3), 9 + number, np.uint8))
    matrices = cameras(12)
    for number in range(12):
        matrices[f"world_mat_{number}"][0, 3] += number  # moves the camera
    np.savez(folder / "cameras.npz", **matrices)
    scene = open_scene("dtu_train/scan1", tmp_path)
    assert scene.image_ids == [str(number) for number in range(12)]
    assert [scene.image(image_id)[0, 0, 0] for image_id in scene.image_ids] == list(range(9, 21))
    places = [scene.w2c(image_id)[0, 3] for image_id in scene.image_ids]
    assert (np.diff(places) > 0).all()


def test_kept_depth(data_root: Path):
    cache = data_root / "colmap_dtu_cache/dtu_train/scan1/dense/stereo/depth_maps"
    cache.mkdir(parents=True)
    write_colmap_depth(cache / "3.jpg.geometric.bin", np.array([[2, 900]], np.float32))
    scene = open_scene("dtu_train/scan1", data_root)
    np.testing.assert_array_equal(scene.depth("3"), np.kron([[2, 4]], np.ones((30, 20))))
    assert scene.depth("0") is None


def test_faults(data_root: Path):
    images = data_root / "dtu_train/scan1/image"
    cv2.imwrite(str(images / "000002.png"), np.zeros((30, 41, 3), np.uint8))
    scene = open_scene("dtu_train/scan1", data_root)
    with pytest.raises(DatasetError, match=r"000002\.png: the image is 41×30, 40×30 was expected"):
        scene.image("2")
    (images / "000002.png").unlink()
    with pytest.raises(DatasetError, match=r"cameras\.npz: holds 4 cameras .* there are 3 images.*Unpack"):
        open_scene("dtu_train/scan1", data_root)
    with pytest.raises(DatasetError, match="such as dtu_train/scan1"):
        open_scene("dtu_train/scan1/black_400", data_root)
