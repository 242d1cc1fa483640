from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene, scene_names
from maskrf_core.support.errors import DatasetError
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.readers.published import assert_as_published
from tests.datasets.readers.tree_parts import replace_in
from tests.datasets.readers.trees.blended_mvs import UID, build

NAME = "blended_mvs/building/half"
CAMERA = """extrinsic
1 0 0 0.5
0 0 -1 0
0 1 0 4
0 0 0 1

intrinsic
40 0 24
0 41 18
0 0 1

2 0.5 128 10 """


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path)
    return tmp_path / "blended-mvs" / UID


def test_reproduces_the_reference_reader(shared: Path):
    assert_as_published(shared, "blended_mvs/building/half", grey_levels=0)


def test_camera_by_hand(tmp_path: Path, folder: Path):
    (folder / "cams/00000001_cam.txt").write_text(CAMERA)
    scene = open_scene(NAME, tmp_path)
    np.testing.assert_allclose(scene.K("1"), [[20, 0, 12], [0, 20.5, 9], [0, 0, 1]])
    np.testing.assert_array_equal(scene.w2c("1"), [[1, 0, 0, 0.5], [0, 0, -1, 0], [0, 1, 0, 4]])
    np.testing.assert_allclose(scene.depth_range("1"), (1.6, 12))


def test_mask_is_where_the_masked_image_is_not_black(tmp_path: Path, folder: Path):
    picture = np.zeros((36, 48, 3), np.uint8)
    picture[:, 24:, 1] = 200
    cv2.imwrite(str(folder / "blended_images/00000001_masked.jpg"), picture)
    mask = open_scene(NAME, tmp_path).mask("1")
    assert mask.shape == (18, 24)
    assert mask[:, 12:].all()
    assert not mask[:, :10].any()


def test_splits_names_and_kept_depth(tmp_path: Path, folder: Path):
    (folder / "colmap_depth").mkdir()
    write_colmap_depth(folder / "colmap_depth/2.jpg.geometric.bin", np.array([[2, 900]], np.float32))
    scene = open_scene(f"blended_mvs/{UID}/half", tmp_path)
    np.testing.assert_array_equal(scene.depth("2"), np.kron([[2, 900]], np.ones((18, 12))))
    assert scene.depth("1") is None
    assert scene.split("train") == (["0", "1", "2"], ["0", "1", "2"])
    assert scene.split("test") == (["1", "2"], ["0"])
    (folder.parent / "59f37f74b45be2233001ba18").mkdir()
    assert scene_names("blended_mvs", tmp_path) == ["blended_mvs/59f37f74b45be2233001ba18/half", NAME]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("extrinsic", "intrinsic", "'extrinsic' and 16 numbers"),
        ("1 0 0 0.5", "1 0 0", "'extrinsic' and 16 numbers"),
        ("1 0 0 0.5", "1 0 0 inf", "holds NaN, infinity"),
        ("1 0 0 0.5", "-1 0 0 0.5", "the pose is not a rotation"),
        ("40 0 24", "0 0 24", "the intrinsics"),
        ("0 0 1\n\n2", "0 1 0\n\n2", "the intrinsics"),
        ("128 10", "128 1", "the depth range"),
    ],
)
def test_broken_cameras(tmp_path: Path, folder: Path, old: str, new: str, message: str):
    path = folder / "cams/00000001_cam.txt"
    path.write_text(CAMERA)
    replace_in(path, old, new)
    with pytest.raises(DatasetError, match=rf"00000001_cam\.txt: .*{message}"):
        open_scene(NAME, tmp_path)


def test_missing_files_and_names(tmp_path: Path, folder: Path):
    with pytest.raises(DatasetError, match="such as blended_mvs/building/half"):
        open_scene("blended_mvs/building/full", tmp_path)
    with pytest.raises(DatasetError, match=f"no scene 'santa'.* Existing are {UID}"):
        open_scene("blended_mvs/santa/half", tmp_path)
    (folder / "cams/00000001_cam.txt").unlink()
    with pytest.raises(DatasetError, match=r"00000001_cam\.txt: cannot be read"):
        open_scene(NAME, tmp_path)
    for path in (folder / "blended_images").glob("*_masked.jpg"):
        path.unlink()
    with pytest.raises(DatasetError, match="Download the release with masked images"):
        open_scene(NAME, tmp_path)
