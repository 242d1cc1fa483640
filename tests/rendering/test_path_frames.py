"""Frames of a path: a file is the frame that is asked for, whole, or it does not count."""

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from maskrf_core.rendering.path_frames import as_bytes, depth_colours, read_frame, remove_frames_from, write_frame


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)


def test_frames_read_back(tmp_path, frame):
    path = tmp_path / "path" / "colour_0000.png"
    write_frame(path, frame, "key")
    np.testing.assert_array_equal(read_frame(path, "key"), frame)
    assert read_frame(path, "other") is None
    assert read_frame(tmp_path / "none.png", "key") is None
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.array(image), frame)  # a picture like any other


def test_half_a_file_does_not_count(tmp_path, frame):
    path = tmp_path / "colour_0000.png"
    write_frame(path, frame, "key")
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        found = read_frame(path, "key")
        assert found is None or (length > 0.9 * len(whole) and np.array_equal(found, frame))  # all pixels are there


def test_changed_pixels_under_an_old_key_do_not_count(tmp_path, frame):
    path, other = tmp_path / "a.png", tmp_path / "b.png"
    write_frame(path, frame, "key")
    with Image.open(path) as image:
        note = image.info["maskrf"]
    changed = frame.copy()
    changed[3, 4, 1] ^= 1
    write_frame(other, changed, "key")
    np.testing.assert_array_equal(read_frame(other, "key"), changed)
    stale = PngInfo()
    stale.add_text("maskrf", note)
    Image.fromarray(changed).save(other, pnginfo=stale)
    assert read_frame(other, "key") is None


def test_only_frames_beyond_the_path_are_removed(tmp_path):
    names = [
        "colour_0000.png",
        "colour_0001.png",
        "colour_0002.png",
        "depth_0002.png",
        "colour_x.png",
        "other_0009.png",
    ]
    for name in names:
        (tmp_path / name).touch()
    remove_frames_from(tmp_path, ("colour", "depth"), 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["colour_0000.png", "colour_x.png", "other_0009.png"]


def test_colours_are_clipped_and_rounded():
    assert as_bytes(np.array([[[-1.0, 0.5, 2.0]]], np.float32)).tolist() == [[[0, 128, 255]]]


def test_depth_is_coloured_by_inverse_depth_in_a_fixed_range():
    depth = np.array([[2.0, 3.0, 6.0, 1.0, 9.0, 0.0]], np.float32)  # 3 is half way between 2 and 6 in inverse depth
    colours = depth_colours(depth, 2.0, 6.0)[0].astype(int)
    np.testing.assert_allclose(colours[0], [253, 231, 37], atol=3)  # viridis' ends and middle
    np.testing.assert_allclose(colours[1], [33, 145, 140], atol=3)
    np.testing.assert_allclose(colours[2], [68, 1, 84], atol=3)
    np.testing.assert_array_equal(colours[4], colours[2])
    assert colours[3].tolist() == colours[5].tolist() == [0, 0, 0]
