import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from maskrf_core.datasets.captures import structure_from_motion
from maskrf_core.datasets.captures.colmap_models import read_colmap_model
from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.datasets.captures.structure_from_motion import photograph_names, put_upright, reconstruct, run_child
from maskrf_core.datasets.files.image_files import image_size, read_image
from maskrf_core.support.errors import DatasetError
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.traced_scene import dome_camera


def picture(height: int = 24, width: int = 32) -> np.ndarray:
    """Red above, green at the bottom left, blue at the bottom right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, :, 0] = image[height // 2 :, : width // 2, 1] = image[height // 2 :, width // 2 :, 2] = 250
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright_however_the_camera_was_held(tmp_path: Path, orientation: int):
    """Stored so that turning by the tag gives the picture; Pillow's inverse turns are written out here."""
    upright = picture()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    path = tmp_path / "photo.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "maker"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    assert image_size(path) == stored.shape[:2]
    assert image_size(path, upright=True) == (24, 32)
    np.testing.assert_array_equal(read_image(path), stored)
    np.testing.assert_array_equal(read_image(path, upright=True), upright)

    (called,) = photograph_names([path])
    assert called == "32x24/00000.png"
    copy = tmp_path / "work" / called
    put_upright(path, copy)
    assert copy.is_symlink() == (orientation == 1)
    np.testing.assert_array_equal(read_image(copy), upright)
    with Image.open(copy) as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert image.getexif()[0x010F] == "maker"  # what EXIF says of the lens is kept


def test_photographs_of_one_folder_and_size_share_a_camera(tmp_path: Path):
    """A rig's cameras are told apart by their folders; numbers go on, so that the order by name is the order given."""
    paths = [tmp_path / name for name in ("a/0.png", "a/1.JPG", "b/0.png", "b/1.png")]
    for path, height in zip(paths, (24, 24, 24, 20), strict=True):
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), picture(height))
    names = photograph_names(paths)
    assert names == ["32x24/00000.png", "32x24/00001.jpg", "32x24_1/00002.png", "32x20_1/00003.png"]


def test_a_child_that_dies_is_an_error_with_its_last_words():
    aborts = "import os, sys; print('glog: check failed', file=sys.stderr, flush=True); os.abort()"
    with pytest.raises(
        DatasetError, match=r"capture/x/raw: COLMAP found no cameras \(.*check failed.*Photograph a scene"
    ):
        run_child([sys.executable, "-c", aborts], "capture/x/raw", 3)


@pytest.mark.long
def test_photographs_that_show_nothing(tmp_path: Path):
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path in paths:
        cv2.imwrite(str(path), np.full((64, 64, 3), 128, np.uint8))
    with pytest.raises(DatasetError, match="no two photographs could be brought together"):
        reconstruct(paths, tmp_path / "kept/cameras", "capture/x/raw")
    assert not list((tmp_path / "kept").iterdir())
    with pytest.raises(DatasetError, match="2 photographs, at least 3 are needed"):
        reconstruct(paths[:2], tmp_path / "kept/cameras", "capture/x/raw")


def test_of_two_at_once_the_first_ones_cameras_are_kept(tmp_path: Path, monkeypatch):
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path in paths:
        cv2.imwrite(str(path), picture())
    camera = LensCamera("PINHOLE", 32, 24, (30.0, 30.0, 16.0, 12.0))
    views = {called: (camera, dome_camera(index, 3)) for index, called in enumerate(photograph_names(paths))}

    def both(command, name, photographs):
        write_model(Path(command[-1]) / "model", views, np.zeros((1, 3)))
        write_model(tmp_path / "kept/cameras", views, np.zeros((2, 3)))

    monkeypatch.setattr(structure_from_motion, "run_child", both)
    reconstruct(paths, tmp_path / "kept/cameras", "capture/x/raw")
    assert len(read_colmap_model(tmp_path / "kept/cameras").points) == 2
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["cameras"]
