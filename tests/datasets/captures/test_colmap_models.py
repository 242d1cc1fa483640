import struct
import time
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrf_core.datasets.captures.colmap_models import read_colmap_model
from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.support.errors import DatasetError
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.traced_scene import dome_camera
from tests.tiers import draws

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


INSERTED = ("", "  ", "# a comment", " # 1 2 3", "\t")


@settings(
    max_examples=draws(60), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_text_models_are_read_as_colmap_reads_them(tmp_path: Path, data):
    """Blank lines and comments between entries, either end of lines, points that were seen or not."""
    cameras = [
        "1 PINHOLE 60 40 50 51 30 20",
        "7 OPENCV 60 40 50 51 30 20 0.1 0 0 0.001",
    ]
    points = [f"{number} {x} {y} {z} 0 0 0 0.5" for number, (x, y, z) in enumerate(POINTS, start=3)]
    images = []
    for number in data.draw(st.permutations(range(1, 6)), label="images"):
        w2c = pycolmap.Rigid3d(pycolmap.Rotation3d(dome_camera(number, 6)[:, :3].copy()), dome_camera(number, 6)[:, 3])
        x, y, z, w = w2c.rotation.quat
        pose = " ".join(map(repr, map(float, (w, x, y, z, *w2c.translation))))
        seen = data.draw(st.lists(st.sampled_from([-1, *range(3, 3 + len(POINTS))]), max_size=4, unique=True))
        observed = " ".join(f"{place}.5 {place} {point}" for place, point in enumerate(seen))
        images.append(f"{number} {pose} {(1, 7)[number % 2]} b/{number}.png\n{observed}")
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    for file, entries in zip(FILES, (cameras, images, points), strict=True):
        lines = []
        for entry in entries:
            lines += [*data.draw(st.lists(st.sampled_from(INSERTED), max_size=2)), *entry.split("\n")]
        lines += data.draw(st.lists(st.sampled_from(INSERTED), max_size=2))
        (tmp_path / f"{file}.txt").write_bytes(end.join([*lines, ""]).encode())
    theirs = pycolmap.Reconstruction()
    theirs.read_text(tmp_path)
    ours = read_colmap_model(tmp_path)
    assert [view.image_id for view in ours.views] == sorted(theirs.images)
    ids = sorted(theirs.points3D)
    for view in ours.views:
        image = theirs.images[view.image_id]
        assert (view.name, view.camera.model) == (image.name, image.camera.model.name)
        np.testing.assert_array_equal(view.camera.params, image.camera.params)
        np.testing.assert_allclose(view.w2c, image.cam_from_world().matrix(), atol=1e-12)
        observed = {point.point3D_id for point in image.points2D if point.has_point3D()}
        assert {ids[row] for row in view.seen} == observed
    np.testing.assert_array_equal(ours.points, [theirs.points3D[point].xyz for point in ids])


def images_text(*names: str, observed: str = "", end: str = "\n") -> str:
    """The lines of images with the camera 1, one after the other along x, that are numbered from 1."""
    return "".join(f"{k} 1 0 0 0 {k}.5 0 3 1 {name}{end}{observed}{end}" for k, name in enumerate(names, start=1))


@pytest.mark.parametrize(
    "text",
    [
        images_text("a.png", "b.png", "c.png"),
        images_text("a.png", "b.png", "c.png", end="\r\n"),
        "\ufeff# Number of images: 3, mean observations per image: 0\n" + images_text("a.png", "b.png", "c.png"),
        images_text("a.png", "b.png", "c.png").replace("\n", "\n\n# of mine\n\n"),
        images_text("a.png", "b.png", "c.png", observed="0.5 1.5 -1").replace("\n", "\n\n# of mine\n"),
        images_text("a.png", "b.png", "c.png").replace("\n\n", "\n"),
        images_text("a.png", "b.png", "c.png").rstrip(),
    ],
)
def test_no_image_is_lost_where_colmap_would_lose_or_refuse_one(tmp_path: Path, text: str):
    write_model(tmp_path, {"a.png": (PINHOLE, dome_camera(0, 2))}, np.zeros((0, 3)), text=True)
    (tmp_path / "images.txt").write_bytes(text.encode())
    views = read_colmap_model(tmp_path).views
    assert [(view.name, view.w2c[0, 3]) for view in views] == [("a.png", 1.5), ("b.png", 2.5), ("c.png", 3.5)]


def test_names_with_spaces_and_signs(tmp_path: Path):
    names = ["my photo.png", "my  photo   2.png", "été\u00a0\u0085 1.png", "cam 0/1 2 3.png", "1 2 3.png"]
    write_model(tmp_path, {"a.png": (PINHOLE, dome_camera(0, 2))}, np.zeros((0, 3)), text=True)
    (tmp_path / "images.txt").write_text(images_text(*names, observed="1 2 -1"), encoding="utf-8")
    assert [view.name for view in read_colmap_model(tmp_path).views] == names


@pytest.mark.parametrize(
    "text",
    [
        images_text("a.png", observed="1 2 -1").replace("1 2 -1", "1 2 -1 4"),
        images_text("a.png", observed="1 2 -1").replace("1 2 -1", "1 2 x"),
        images_text("a.png", observed="1 2 -1") + "1 2 -1\n",
        images_text("a.png", "b.png").replace("2 1 0 0 0", "2.5 1 0 0 0"),
        images_text("a.png", "b.png").replace(" 1 b.png", " x b.png"),
        images_text("a.png", "b.png").replace(" b.png", ""),
    ],
)
def test_lines_that_are_no_images(tmp_path: Path, text: str):
    write_model(tmp_path, {"a.png": (PINHOLE, dome_camera(0, 2))}, np.zeros((0, 3)), text=True)
    (tmp_path / "images.txt").write_text(text)
    with pytest.raises(DatasetError, match=r"images\.txt"):
        read_colmap_model(tmp_path)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("model", sorted(set(pycolmap.CameraModelId.__members__) - {"INVALID"}))
def test_every_camera_model_is_read_or_refused_by_name(tmp_path: Path, model: str, text: bool):
    """Those with focal lengths are read; those of panoramas have none."""
    made = pycolmap.Camera.create_from_model_name(1, model, 50.0, 60, 40)
    lens = LensCamera(model, 60, 40, tuple(made.params))
    reconstruction = pycolmap.Reconstruction()
    reconstruction.add_camera_with_trivial_rig(made)
    pose = pycolmap.Rigid3d(pycolmap.Rotation3d(), np.array([0, 0, 3.0]))
    reconstruction.add_image_with_trivial_frame(pycolmap.Image(name="a.jpg", camera_id=1, image_id=1), pose)
    (reconstruction.write_text if text else reconstruction.write_binary)(tmp_path)
    if made.is_perspective():
        assert read_colmap_model(tmp_path).views[0].camera == lens
    else:
        with pytest.raises(DatasetError, match=rf"a\.jpg.*{model}"):
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
