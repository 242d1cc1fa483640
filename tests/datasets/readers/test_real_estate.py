from pathlib import Path

import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import DatasetError
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.readers.published import assert_as_published
from tests.datasets.readers.tree_parts import replace_in
from tests.datasets.readers.trees.real_estate import build, line

LISTING = "real_estate_dataset/train/cameras/0a1b.txt"
IDENTITY = "1 0 0 0.5 0 1 0 0 0 0 1 2"


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    build(tmp_path)
    return tmp_path


def test_reproduces_the_reference_reader(shared: Path):
    assert_as_published(shared, "real_estate/0a1b2c3d4e5f6071/450_800", grey_levels=0)


def test_camera_by_hand_and_order_by_number(data_root: Path):
    replace_in(data_root / LISTING, line(500, 0), f"500 0.6 0.8 0.5 0.25 0 0 {IDENTITY}\n")
    scene = open_scene("real_estate/0a1b/20_40", data_root)
    assert scene.image_ids == ["500", "1033000", "1066000", "2000000"]  # 3000000 is listed, but has no frame
    np.testing.assert_allclose(scene.K("500"), [[24, 0, 20], [0, 16, 5], [0, 0, 1]])
    np.testing.assert_array_equal(scene.w2c("500"), [[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 2]])
    assert scene.depth_range("500") == (1, 100)
    assert scene.image("500").shape == (20, 40, 3)


def test_splits(data_root: Path):
    scene = open_scene("real_estate/0a1b/18_32", data_root)
    assert scene.split("train") == (scene.image_ids, scene.image_ids)
    assert scene.split("test") == (scene.image_ids[1:], ["500"])


def test_kept_depth(data_root: Path):
    folder = data_root / "colmap_forward_cache/real_estate/0a1b/dense_out/stereo/depth_maps"
    folder.mkdir(parents=True)
    write_colmap_depth(folder / "500.jpg.geometric.bin", np.array([[5, 200]], np.float32))
    scene = open_scene("real_estate/0a1b/2_4", data_root)
    np.testing.assert_array_equal(scene.depth("500"), [[5, 5, 100, 100]] * 2)
    assert scene.depth("1033000") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (line(1066000, 2 / 20), "", r"1066000\.png: 0a1b\.txt has no line for this frame.*remove the frame"),
        ("https://example.invalid/watch?v=x\n", "", r"500\.png: 0a1b\.txt has no line for this frame"),
        ("1033000 0.5", "500 0.5", r"0a1b\.txt, line 3: lists the frame 500 twice"),
        ("1033000 0.5", "1033000", r"0a1b\.txt, line 3: a timestamp and 18 numbers"),
        ("1033000 0.5", "1033000 nan", r"0a1b\.txt, line 3: holds NaN"),
        ("1033000 0.5", "1033000 half", r"0a1b\.txt, line 3: numbers were expected.*half"),
        ("1033000 0.5", "1033000 -0.5", r"0a1b\.txt, line 3: the intrinsics .* positive focal lengths"),
        (line(500, 0), f"500 1 1 0 0 0 0 2{IDENTITY[1:]}\n", r"0a1b\.txt, line 2: the pose is not a rotation"),
        ("https", "https\u00e9", r"0a1b\.txt: not a text file"),
    ],
)
def test_broken_camera_file(data_root: Path, old: str, new: str, message: str):
    replace_in(data_root / LISTING, old, new)
    with pytest.raises(DatasetError, match=message):
        open_scene("real_estate/0a1b/18_32", data_root)


def test_missing_camera_file_and_frames(data_root: Path):
    (data_root / LISTING).unlink()
    with pytest.raises(DatasetError, match=r"cameras/0a1b\.txt: cannot be read.*Download"):
        open_scene("real_estate/0a1b/18_32", data_root)
    for path in (data_root / "real_estate_dataset/train/frames/0a1b").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="frames/0a1b: holds no PNG or JPEG images"):
        open_scene("real_estate/0a1b/18_32", data_root)


@pytest.mark.parametrize("name", ["real_estate/0a1b/450", "real_estate/0a1b/0_800", "real_estate/0a1b/90000_90000"])
def test_names_that_cannot_be_opened(data_root: Path, name: str):
    with pytest.raises(DatasetError, match="such as real_estate/000db54a47bd43fe/450_800"):
        open_scene(name, data_root)
