import struct
import time
from pathlib import Path

import numpy as np
import pytest

from maskrf_core.datasets.captures.colmap_models import read_colmap_model
from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.support.errors import DatasetError
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.traced_scene import dome_camera

PINHOLE = LensCamera("PINHOLE", 60, 40, (50.0, 51.0, 30.0, 20.0))
OPENCV = LensCamera("OPENCV", 60, 40, (50.0, 51.0, 30.0, 20.0, 0.1, 0.0, 0.0, 0.001))
POINTS = np.random.default_rng(0).normal(0, 0.4, (12, 3))
BEHIND = np.array([[0.0, 0.0, 40.0]])
"""Far above the dome, behind all of its cameras."""
FILES = ("cameras", "images", "points3D")


@pytest.fixture(params=["binary", "text"])
def model(request, tmp_path: Path) -> Path:
    views = {f"b/{index}.jpg": ((PINHOLE, OPENCV)[index % 2], dome_camera(index, 4)) for index in range(4)}
    write_model(tmp_path / "sparse", views, np.concatenate([POINTS, BEHIND]), text=request.param == "text")
    return tmp_path / "sparse"


def test_reads_back_what_was_written(model: Path):
    read = read_colmap_model(model)
    assert [view.name for view in read.views] == [f"b/{index}.jpg" for index in range(4)]
    assert [view.image_id for view in read.views] == [1, 2, 3, 4]
    np.testing.assert_allclose(read.points, np.concatenate([POINTS, BEHIND]), atol=1e-9)
    for index, view in enumerate(read.views):
        np.testing.assert_allclose(view.w2c, dome_camera(index, 4), atol=1e-9)
        assert view.camera == (PINHOLE, OPENCV)[index % 2]
        np.testing.assert_array_equal(view.seen, np.arange(12))  # not the one behind
    np.testing.assert_array_equal(read.views[0].camera.K, [[50, 0, 30], [0, 51, 20], [0, 0, 1]])
    assert [view.camera.is_pinhole for view in read.views] == [True, False, True, False]


def test_tracks_that_disagree_with_observations_are_no_hindrance(shared: Path):
    """pycolmap alone refuses the published example trees, whose tracks are made up."""
    read = read_colmap_model(shared / "reference/datasets/example/desk/sparse/0")
    assert read.points.shape == (200, 3)
    assert all(view.seen.tolist() == [0] for view in read.views)


@pytest.mark.parametrize("file", FILES)
def test_binary_files_cut_anywhere(tmp_path: Path, file: str):
    """pycolmap alone takes cut cameras for whole ones, and reads cut points without end."""
    write_model(tmp_path, {"a.jpg": (OPENCV, dome_camera(0, 2)), "b.jpg": (PINHOLE, dome_camera(1, 2))}, POINTS[:3])
    path = tmp_path / f"{file}.bin"
    whole = path.read_bytes()
    for data in [*(whole[:cut] for cut in range(len(whole))), whole + b"\0", b"", struct.pack("<Q", 2**60) + whole[8:]]:
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=rf"{file}\.bin: .*(Copy|export)"):
            read_colmap_model(tmp_path)


def test_damaged_bytes_give_an_error_or_a_model(model: Path):
    generator = np.random.default_rng(0)
    began = time.monotonic()
    outcomes = set()
    for file in FILES:
        path = next(model.glob(f"{file}.*"))
        whole = path.read_bytes()
        for _ in range(60):
            data = bytearray(whole)
            place = int(generator.integers(len(data)))
            data[place : place + 4] = generator.integers(0, 256, 4, dtype=np.uint8).tobytes()
            path.write_bytes(bytes(data))
            try:
                read = read_colmap_model(model)
                assert all(np.isfinite(view.w2c).all() for view in read.views)
                outcomes.add("model")
            except DatasetError as error:
                outcomes.add("error" if str(model) in str(error) else f"an error without its file: {error}")
        path.write_bytes(whole)
    assert outcomes == {"error", "model"}
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ({"../secret.jpg": PINHOLE}, "not inside the scene"),
        ({"/etc/secret.jpg": PINHOLE}, "not inside the scene"),
        ({"a.jpg": LensCamera("PINHOLE", 60, 40, (-50.0, 51.0, 30.0, 20.0))}, r"a\.jpg.*positive focal lengths"),
        ({"a.jpg": LensCamera("PINHOLE", 60, 40, (float("nan"), 51.0, 30.0, 20.0))}, r"a\.jpg.*finite numbers"),
        ({}, "no images"),
    ],
)
def test_models_that_are_whole_but_wrong(tmp_path: Path, views: dict[str, LensCamera], message: str):
    write_model(tmp_path, {name: (lens, dome_camera(0, 2)) for name, lens in views.items()}, np.zeros((0, 3)))
    with pytest.raises(DatasetError, match=message):
        read_colmap_model(tmp_path)


def test_faults_of_text_models(tmp_path: Path):
    write_model(tmp_path, {"a.jpg": (PINHOLE, dome_camera(0, 2))}, POINTS, text=True)
    images = tmp_path / "images.txt"
    whole = images.read_text()
    images.write_text(whole.replace("images: 1", "images: 3"))
    with pytest.raises(DatasetError, match=r"images\.txt: holds 1 entries, but its comment says 3"):
        read_colmap_model(tmp_path)
    number, *quaternion = next(line for line in whole.splitlines() if line.endswith("a.jpg")).split()[:5]
    images.write_text(whole.replace(" ".join([number, *quaternion]), f"{number} 0 0 0 0"))
    with pytest.raises(DatasetError, match=r"image 1 \(a\.jpg\): its quaternion is none of length 1"):
        read_colmap_model(tmp_path)
    images.write_bytes(whole.encode().replace(b"a.jpg", b"\xff.jpg"))
    with pytest.raises(DatasetError, match="not UTF-8"):
        read_colmap_model(tmp_path)
    images.unlink()
    with pytest.raises(DatasetError, match="no whole COLMAP model"):
        read_colmap_model(tmp_path)
