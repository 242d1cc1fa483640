import subprocess
from pathlib import Path

import cv2
import imageio
import imageio_ffmpeg
import numpy as np
import pytest

from maskrf_core.datasets.captures import capture_preparation, structure_from_motion
from maskrf_core.datasets.captures.capture_preparation import prepare_capture
from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.datasets.captures.video_frames import frames_of_video, sharpest
from maskrf_core.datasets.files.image_files import read_image
from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import DatasetError, NotPreparedError
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.traced_scene import dome_camera

HEIGHT, WIDTH, LENGTH = 48, 80, 24
NAME = "capture/clip/raw"


def frame(number: int) -> np.ndarray:
    """A chequered picture, brighter with its number; every third one is sharp."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    picture = np.where((x // 8 + y // 8) % 2, 60 + 6 * number, 30).astype(np.uint8)
    return np.repeat((picture if number % 3 == 1 else cv2.blur(picture, (9, 9)))[..., None], 3, axis=2)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "captures/clip/clip.mp4"
    path.parent.mkdir(parents=True)
    with imageio.get_writer(path, fps=8, macro_block_size=2, quality=9) as writer:
        for number in range(LENGTH):
            writer.append_data(frame(number))
    return path


def test_evenly_spread_and_sharpest_of_neighbours_by_hand():
    """Three stretches of four frames; the middle half of each are its second and third frame."""
    assert sharpest([9.0, 1.0, 2.0, 9.0, 9.0, 5.0, 4.0, 9.0, 9.0, 3.0, 3.0, 9.0], 3) == [2, 5, 9]
    assert sharpest([1.0] * 5, 5) == sharpest([1.0] * 5, 9) == [0, 1, 2, 3, 4]
    for length in range(1, 40):
        for count in range(1, 40):
            chosen = sharpest(list(np.random.default_rng(length).random(length)), count)
            assert chosen == sorted(set(chosen))
            assert len(chosen) == min(count, length)
            stretch = length / len(chosen)
            middles = (np.arange(len(chosen)) + 0.5) * stretch
            assert np.abs(np.array(chosen) + 0.5 - middles).max() <= stretch / 4 + 1


def test_frames_are_what_the_video_shows(tmp_path: Path, video: Path):
    kept = tmp_path / "kept"
    paths = frames_of_video(video, tmp_path, "kept", 4)
    assert [path.parent.parent for path in paths] == [kept] * 4
    numbers = [int(path.stem) for path in paths]
    assert all(number % 3 == 1 for number in numbers)  # the sharp ones
    for number, path in zip(numbers, paths, strict=True):
        assert np.abs(read_image(path).astype(int) - frame(number)).mean() < 6
    assert len(frames_of_video(video, tmp_path, "kept", 100)) == LENGTH


def test_a_video_that_was_filmed_upright_stands_upright(tmp_path: Path, video: Path):
    """Telephones store frames lying, with a note to turn them."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:, : WIDTH // 2, 0] = picture[: HEIGHT // 2, WIDTH // 2 :, 1] = 240
    with imageio.get_writer(video, fps=8, macro_block_size=2, quality=9) as writer:
        for _ in range(3):
            writer.append_data(picture)
    turned = tmp_path / "turned.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-display_rotation", "90", "-i", video, "-c", "copy", turned]
    subprocess.run(command, check=True, capture_output=True)
    for path in frames_of_video(turned, tmp_path, "kept"):
        assert np.abs(read_image(path).astype(int) - np.rot90(picture)).mean() < 6


def test_frames_that_were_asked_for_last_are_found_again(tmp_path: Path, video: Path):
    assert frames_of_video(video, tmp_path, "kept", take=False) == []
    assert len(frames_of_video(video, tmp_path, "kept")) == LENGTH  # 60 are more than there are
    five = frames_of_video(video, tmp_path, "kept", 5)
    stamps = {path: path.stat().st_mtime_ns for path in five}
    frames_of_video(video, tmp_path, "kept", 7)
    assert frames_of_video(video, tmp_path, "kept", 5) == frames_of_video(video, tmp_path, "kept") == five
    assert {path: path.stat().st_mtime_ns for path in five} == stamps
    data = video.read_bytes()
    video.write_bytes(data + b"\0")
    assert frames_of_video(video, tmp_path, "kept", take=False) == []
    with pytest.raises(DatasetError, match="2 frames are wanted, but 3 are needed"):
        frames_of_video(video, tmp_path, "kept", 2)


@pytest.mark.parametrize("content", [lambda data: b"0" * 99, lambda data: b"", lambda data: data[: len(data) // 2]])
def test_a_broken_video_is_an_error_in_one_line(tmp_path: Path, video: Path, content):
    video.write_bytes(content(video.read_bytes()))
    with pytest.raises(DatasetError, match=r"clip\.mp4: is damaged or no video \(.*\)\. Copy") as error:
        frames_of_video(video, tmp_path, "kept", 4)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
    assert not list((tmp_path / "kept").iterdir())


def test_a_video_of_which_only_the_begin_is_there(tmp_path: Path, video: Path):
    """Matroska says its length at its begin, and what is there of it can be decoded."""
    whole = video.with_suffix(".mkv")
    with imageio.get_writer(whole, fps=8, macro_block_size=2, quality=9) as writer:
        for number in range(LENGTH):
            writer.append_data(frame(number))
    assert len(frames_of_video(whole, tmp_path, "kept")) == LENGTH
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    with pytest.raises(DatasetError, match="of 24 frames can be decoded"):
        frames_of_video(whole, tmp_path, "kept")


def test_a_capture_of_a_video_alone(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch):
    """Frames are photographs from there on; structure from motion is stood in for by known cameras."""
    with pytest.raises(NotPreparedError, match="takes minutes"):
        open_scene(NAME, tmp_path)
    camera = LensCamera("PINHOLE", WIDTH, HEIGHT, (70.0, 70.0, 40.0, 24.0))

    def reconstruct(photographs: list[Path], model: Path, name: str) -> None:
        called = structure_from_motion.photograph_names(photographs)
        views = {each: (camera, dome_camera(index, len(called))) for index, each in enumerate(called)}
        write_model(model, views, np.random.default_rng(0).normal(0, 0.3, (20, 3)))

    monkeypatch.setattr(capture_preparation, "reconstruct", reconstruct)
    prepare_capture(NAME, tmp_path, video_frames=6)
    scene = open_scene(NAME, tmp_path)
    assert len(scene.image_ids) == 6
    for index, image_id in enumerate(scene.image_ids):
        np.testing.assert_allclose(scene.w2c(image_id), dome_camera(index, 6), atol=1e-9)
        assert np.abs(scene.image(image_id).astype(int) - frame(int(image_id))).mean() < 6
    prepare_capture(NAME, tmp_path, video_frames=4)
    assert len(open_scene(NAME, tmp_path).image_ids) == 4
    assert sorted(path.name for path in video.parent.iterdir()) == ["clip.mp4"]
    (video.parent / "second.mov").write_bytes(b"x")
    with pytest.raises(DatasetError, match="nor one video alone"):
        open_scene(NAME, tmp_path)
