from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.files.downscaling import blur_against_aliasing
from maskrf_core.datasets.scene import open_scene, scene_names
from maskrf_core.support.errors import DatasetError
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.readers.published import assert_as_published
from tests.datasets.readers.trees.llff_colmap import build
from tests.other_users import of_another_user


@pytest.mark.parametrize("size", ["high", "low"])
def test_reproduces_the_reference_reader(shared: Path, size: str):
    scene = assert_as_published(shared, f"llff_colmap/fern/{size}")
    native = np.load(shared / "reference/datasets/llff_colmap/fern/colmap_depth_1_expected.npy")
    depth = scene.depth("1")
    assert depth.shape == scene.mask("1").shape == {"high": (756, 1008), "low": (378, 504)}[size]
    assert np.isin(depth, np.append(native, 0)).all()
    assert scene.depth("2") is None
    assert scene.split("train") == (scene.split("test")[0],) * 2


def test_downscaled_once_and_kept(tmp_path: Path):
    build(tmp_path)
    photograph = tmp_path / "llff_colmap/shelf/images/0.jpg"
    large = cv2.resize(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8), (1512, 1134))
    cv2.imwrite(str(photograph), large)
    scene = open_scene("llff_colmap/shelf/low", tmp_path)
    first = scene.image("1")
    blurred = blur_against_aliasing(cv2.imread(str(photograph))[..., ::-1], 1 / 3)
    np.testing.assert_array_equal(first, cv2.resize(blurred, (504, 378), interpolation=cv2.INTER_AREA))

    (kept,) = (tmp_path / "cache").rglob("*.png")
    stamp = kept.stat().st_mtime_ns
    np.testing.assert_array_equal(scene.image("1"), first)
    assert kept.stat().st_mtime_ns == stamp
    kept.write_bytes(kept.read_bytes()[:100])  # damaged: made again
    np.testing.assert_array_equal(scene.image("1"), first)
    cv2.imwrite(str(photograph), 255 - large)  # changed: noticed
    assert np.abs(scene.image("1").astype(int) + first - 255).max() <= 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "llff_colmap"]


def test_a_second_user_reads_what_the_first_downscaled(tmp_path: Path):
    build(tmp_path)
    scene = open_scene("llff_colmap/shelf/low", tmp_path)
    first = scene.image("1")
    with of_another_user(tmp_path / "cache", tmp_path / "own") as own:
        np.testing.assert_array_equal(scene.image("1"), first)
        assert not own.exists()
        scene.image("2")
        assert len(list(own.rglob("*.png"))) == 1


def test_opens_and_lists_its_scenes(tmp_path: Path):
    assert scene_names("llff_colmap", tmp_path) == []
    assert build(tmp_path) == "llff_colmap/shelf/low"
    assert scene_names("llff_colmap", tmp_path) == ["llff_colmap/shelf/high"]
    scene = open_scene("llff_colmap/shelf/low", tmp_path)
    assert scene.image_ids == ["1", "2", "3"]
    assert scene.depth_range("3") == (2.2, 5.2)
    high = open_scene("llff_colmap/shelf/high", tmp_path)
    np.testing.assert_allclose(high.K("1"), [[800, 0, 504], [0, 820, 378], [0, 0, 1]])
    with pytest.raises(DatasetError, match=r"is 504×378, but .* is 1008×756 and images are never enlarged"):
        high.image("1")


def test_faults(tmp_path: Path):
    build(tmp_path)
    folder = tmp_path / "llff_colmap/shelf"
    scene = open_scene("llff_colmap/shelf/low", tmp_path)
    with pytest.raises(DatasetError, match="no image '4'"):
        scene.depth_range("4")
    write_colmap_depth(folder / "colmap_depth/1.jpg.geometric.bin", np.ones((3, 4), np.float32))
    assert (scene.depth("1") == 1).all()
    cv2.imwrite(str(folder / "images/0.jpg"), np.zeros((600, 600, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"0\.jpg: is 600×600, which has another shape"):
        scene.image("1")
    np.save(folder / "depth_range.npy", np.array([[2.0, 5.0], [2.0, 1.0], [2.0, 5.0]]))
    with pytest.raises(DatasetError, match=r"depth_range\.npy, image 2: the depth range is \(2, 1\)"):
        open_scene("llff_colmap/shelf/low", tmp_path)
    np.save(folder / "depth_range.npy", np.ones((2, 2)))
    with pytest.raises(DatasetError, match=r"depth_range\.npy: the array has shape \(2, 2\), 3×2"):
        open_scene("llff_colmap/shelf/low", tmp_path)
    (folder / "images/2.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 of the 3 images that the model lists are missing, the first is 2\.jpg"):
        open_scene("llff_colmap/shelf/low", tmp_path)
    with pytest.raises(DatasetError, match="such as llff_colmap/fern/high"):
        open_scene("llff_colmap/shelf/middle", tmp_path)
