from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import DatasetError
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.readers.published import assert_as_published
from tests.datasets.readers.trees.nerf_llff import poses_bounds
from tests.datasets.readers.trees.real_iconic import build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path)
    return tmp_path / "real_iconic_noface/shelf"


def test_reproduces_the_reference_reader(shared: Path):
    assert_as_published(shared, "real_iconic/garden/4", grey_levels=0)


def test_camera_by_hand_where_the_factor_does_not_divide_the_size(tmp_path: Path, folder: Path):
    rows = poses_bounds()
    rows[:, 4], rows[:, 9] = 46, 67  # photographs of 67×46; images_4 has 16×12
    np.save(folder / "poses_bounds.npy", rows)
    scene = open_scene("real_iconic/shelf/4", tmp_path)
    np.testing.assert_allclose(scene.K("3"), [[20, 0, 8], [0, 20, 6], [0, 0, 1]])
    scale = 1 / (0.75 * 6)
    np.testing.assert_allclose(scene.w2c("3"), [[1, 0, 0, 1.5 * scale], [0, -1, 0, 0], [0, 0, -1, 0]], atol=1e-12)
    np.testing.assert_allclose(scene.depth_range("3"), (6.3 * scale, 30 * scale))
    assert (scene.image("3") == 3).all()


def test_splits(tmp_path: Path, folder: Path):
    scene = open_scene("real_iconic/shelf/4", tmp_path)
    assert scene.split("train") == (scene.image_ids, scene.image_ids)
    assert scene.split("test") == (["1", "2", "3", "4", "5", "6", "7", "9"], ["0", "8"])


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_kept_depth_ends_at_the_view_s_far(tmp_path: Path, folder: Path, suffix: str):
    cache = tmp_path / "colmap_forward_cache/real_iconic/shelf/4/dense_out/stereo/depth_maps"
    cache.mkdir(parents=True)
    write_colmap_depth(cache / f"2.{suffix}.geometric.bin", np.array([[2, 900], [0, 3]], np.float32))
    scene = open_scene("real_iconic/shelf/4", tmp_path)
    expected = np.kron(np.array([[2, scene.depth_range("2")[1]], [0, 3]]), np.ones((6, 8)))
    np.testing.assert_allclose(scene.depth("2"), expected)
    assert scene.depth("1") is None


def test_faults(tmp_path: Path, folder: Path):
    scene = open_scene("real_iconic/shelf/4", tmp_path)
    cv2.imwrite(str(folder / "images_4/im05.png"), np.zeros((12, 15, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"im05\.png: the image is 15×12, 16×12 was expected"):
        scene.image("5")
    with pytest.raises(DatasetError, match=r"im05\.png: the image is 15×12, but im00\.png is 16×12"):
        open_scene("real_iconic/shelf/4", tmp_path)
    (folder / "images_4/im05.png").unlink()
    with pytest.raises(DatasetError, match=r"images_4: holds 9 images, but poses_bounds\.npy has 10 poses"):
        open_scene("real_iconic/shelf/4", tmp_path)
    with pytest.raises(DatasetError, match=r"images_8: missing\. Existing are images_4"):
        open_scene("real_iconic/shelf/8", tmp_path)
    with pytest.raises(DatasetError, match="such as real_iconic/garden/4"):
        open_scene("real_iconic/shelf", tmp_path)
