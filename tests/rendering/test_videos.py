"""mp4 files: what every player needs, the right frames in them, and never half a file."""

import imageio
import numpy as np
import pytest

from maskrf_core.rendering.videos import even_sides, write_video


def frames(count=5, height=37, width=51):
    return [np.full((height, width, 3), 40 * index, np.uint8) for index in range(count)]


@pytest.mark.parametrize(("height", "width", "size"), [(37, 51, (52, 38)), (48, 64, (64, 48)), (32, 33, (34, 32))])
def test_videos_read_back(tmp_path, height, width, size):
    path = tmp_path / "below" / "a.mp4"
    write_video(path, iter(frames(5, height, width)), 12)
    with imageio.get_reader(path) as reader:
        about = reader.get_meta_data()
        shades = [frame.mean() for frame in reader]
    assert (about["codec"], about["fps"], about["size"]) == ("h264", 12, size)
    assert about["pix_fmt"].startswith("yuv420p")
    np.testing.assert_allclose(shades, [0, 40, 80, 120, 160], atol=3)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.mp4"]


def test_the_index_stands_in_front(tmp_path):
    write_video(tmp_path / "a.mp4", frames(), 12)
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_the_same_frames_make_the_same_file(tmp_path):
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mp4", frames(), 12)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, frames(), 12)
    before = path.read_bytes()

    def breaks():
        yield from frames(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(path, breaks(), 12)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_odd_sides_are_filled_with_a_copy():
    frame = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    even = even_sides(frame)
    assert even.shape == (4, 6, 3)
    np.testing.assert_array_equal(even[:3, :5], frame)
    np.testing.assert_array_equal(even[3, :5], frame[2])
    np.testing.assert_array_equal(even[:3, 5], frame[:, 4])
