"""COLMAP's dense maps as files: the reference, by hand, at another size, and damaged."""

import numpy as np
import pytest

from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth, read_colmap_depth
from maskrf_core.support.errors import DatasetError
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth


def test_colmap_map_of_the_reference(shared):
    folder = shared / "reference" / "datasets" / "llff_colmap" / "fern"
    depth = read_colmap_depth(folder / "colmap_depth" / "1.jpg.geometric.bin")
    np.testing.assert_array_equal(depth, np.load(folder / "colmap_depth_1_expected.npy"))


def test_colmap_bytes_by_hand_and_back(tmp_path):
    depth = np.array([[1, 2, 3], [0, 5, 38]], np.float32)
    path = tmp_path / "a.geometric.bin"
    write_colmap_depth(path, depth)
    assert path.read_bytes() == b"3&2&1&" + np.array([1, 2, 3, 0, 5, 38], "<f4").tobytes()
    np.testing.assert_array_equal(read_colmap_depth(path), depth)


@pytest.mark.parametrize(
    "data",
    [b"", b"3&2&1&" + bytes(23), b"3&2&1&" + bytes(25), b"3&2&3&" + bytes(72), b"-3&-2&1&" + bytes(24), b"x&2&1&",
     b"999999999&999999999&1&", b"\x00\xff" * 9],
)  # fmt: skip
def test_colmap_map_that_is_none(tmp_path, data):
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"a\.bin"):
        read_colmap_depth(path)


def test_missing_colmap_map(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere\.bin"):
        read_colmap_depth(tmp_path / "nowhere.bin")


def test_kept_map_is_cleaned_clipped_and_resized(tmp_path):
    path = tmp_path / "1.jpg.geometric.bin"
    assert kept_colmap_depth(path, (2, 2)) is None
    write_colmap_depth(path, np.array([[1, np.nan], [-1, 9]], np.float32))
    np.testing.assert_array_equal(kept_colmap_depth(path, (2, 2)), [[1, 0], [0, 9]])
    larger = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 5, 5], [0, 0, 5, 5]]
    np.testing.assert_array_equal(kept_colmap_depth(path, (4, 4), far=5.0), larger)


def test_a_map_of_another_shape_is_not_stretched(tmp_path):
    path = tmp_path / "1.jpg.geometric.bin"
    write_colmap_depth(path, np.ones((75, 101), np.float32))
    assert kept_colmap_depth(path, (300, 400)).shape == (300, 400)  # a rounded side
    with pytest.raises(DatasetError, match=r"1\.jpg.* is 101×75, of another shape than its image \(400×250\)"):
        kept_colmap_depth(path, (250, 400))
    assert kept_colmap_depth(path, (250, 400), any_shape=True).shape == (250, 400)
