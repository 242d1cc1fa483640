"""Frames and videos: a file is the frame that is asked for, whole; videos play anywhere and are never half a file."""

import imageio
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from maskrf_core.rendering.path_rendering import (
    as_bytes,
    depth_colours,
    read_frame,
    remove_frames_from,
    write_frame,
    write_video,
)


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
    remove_frames_from(tmp_path, 1)
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


def grey_frames(count=5, height=37, width=51):
    return [np.full((height, width, 3), 40 * index, np.uint8) for index in range(count)]


@pytest.mark.parametrize(("height", "width", "size"), [(37, 51, (52, 38)), (48, 64, (64, 48)), (32, 33, (34, 32))])
def test_videos_read_back(tmp_path, height, width, size):
    path = tmp_path / "below" / "a.mp4"
    write_video(path, iter(grey_frames(5, height, width)), 12)
    with imageio.get_reader(path) as reader:
        about = reader.get_meta_data()
        shades = [frame.mean() for frame in reader]
    assert (about["codec"], about["fps"], about["size"]) == ("h264", 12, size)
    assert about["pix_fmt"].startswith("yuv420p")
    np.testing.assert_allclose(shades, [0, 40, 80, 120, 160], atol=3)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.mp4"]


def test_the_index_stands_in_front(tmp_path):
    write_video(tmp_path / "a.mp4", grey_frames(), 12)
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_the_same_frames_make_the_same_file(tmp_path):
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mp4", grey_frames(), 12)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, grey_frames(), 12)
    before = path.read_bytes()

    def breaks():
        yield from grey_frames(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(path, breaks(), 12)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_odd_sides_are_filled_with_a_copy(tmp_path):
    frame = np.full((33, 31, 3), 20, np.uint8)
    frame[-1] = frame[:, -1] = 200
    write_video(tmp_path / "a.mp4", [frame], 5)
    with imageio.get_reader(tmp_path / "a.mp4") as reader:
        seen = reader.get_data(0)
    assert seen.shape == (34, 32, 3)
    assert seen[-2:].min() > 150
    assert seen[:, -2:].min() > 150
    assert seen[:28, :28].max() < 80
