import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene, scene_names
from maskrf_core.support.errors import DatasetError
from tests.datasets.readers.published import assert_as_published
from tests.datasets.readers.tree_parts import disc
from tests.datasets.readers.trees.google_scanned_objects import build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path)
    return tmp_path / "google_scanned_objects/cup"


@pytest.mark.parametrize("variant", ["black_raw", "black_400"])
def test_reproduces_the_reference_reader(shared: Path, variant: str):
    scene = assert_as_published(shared, f"gso/Toy_Car/{variant}", grey_levels=0)
    assert not scene.depth("0")[~scene.mask("0")].any()
    assert 1.1 < scene.depth("0").max() < 2


def test_camera_by_hand(tmp_path: Path, folder: Path):
    (folder / "pose/000001.txt").write_text("1 0 0 0.5  0 1 0 0  0 0 1 -2  0 0 0 1")
    scene = open_scene("gso/cup/white_16", tmp_path)
    np.testing.assert_allclose(scene.w2c("1"), [[1, 0, 0, -0.5], [0, 1, 0, 0], [0, 0, 1, 2]], atol=1e-12)
    np.testing.assert_allclose(scene.K("1"), [[20, 0, 7.75], [0, 20, 7.75], [0, 0, 1]])
    np.testing.assert_allclose(scene.depth_range("1"), (2 - 0.77782, 2 + 0.77782), atol=1e-5)
    (folder / "pose/000002.txt").write_text("1 0 0 0  0 1 0 0  0 0 1 -0.5  0 0 0 1")
    np.testing.assert_allclose(scene.depth_range("2"), (0.05, 0.5 + 0.77782), atol=1e-5)


def test_backgrounds_mask_and_depth(tmp_path: Path, folder: Path):
    inside = disc(32, 32) > 0
    picture = cv2.imread(str(folder / "rgb/000001.png"))[..., ::-1]
    white, black = (open_scene(f"gso/cup/{background}_raw", tmp_path) for background in ("white", "black"))
    np.testing.assert_array_equal(white.image("1"), picture)
    np.testing.assert_array_equal(black.image("1"), picture * inside[..., None])
    np.testing.assert_array_equal(black.mask("1"), inside)
    np.testing.assert_allclose(black.depth("1"), inside * np.float32(1.901))
    assert open_scene("gso/cup/black_16", tmp_path).depth("1").shape == (16, 16)
    assert scene_names("gso", tmp_path) == ["gso/cup/black_32"]  # the published width is more than they have


def test_splits(tmp_path: Path, folder: Path):
    scene = open_scene("gso/cup/black_raw", tmp_path)
    assert scene.split("train") == (["0", "1", "2"], ["0", "1", "2"])
    assert scene.split("validation") == scene.split("test") == (["1", "2"], ["0"])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda folder: (folder / "pose/000001.txt").unlink(), r"cup/pose: 000001\.txt is missing.*Unpack"),
        (lambda folder: (folder / "rgb/000001.png").unlink(), r"cup/rgb: 000001\.png is missing.*numbered"),
        (lambda folder: (folder / "rgb/000002.png").unlink(), r"cup/mask: 000002\.png is one too many"),
        (lambda folder: shutil.rmtree(folder / "depth"), "cup/depth: cannot be listed"),
        (lambda folder: [path.unlink() for path in (folder / "rgb").iterdir()], "cup/rgb: is empty"),
        (lambda folder: (folder / "rgb/000000.png").write_bytes(b"x"), r"rgb/000000\.png: not a PNG"),
    ],
)
def test_faults_found_on_opening(tmp_path: Path, folder: Path, fault, message: str):
    fault(folder)
    with pytest.raises(DatasetError, match=message):
        open_scene("gso/cup/black_16", tmp_path)


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        ("1 0 0 0 0 1 0 0 0 0 1 -2", r"000001\.txt: holds 12 numbers, 4×4"),
        ("2 0 0 0 0 1 0 0 0 0 1 -2 0 0 0 1", r"000001\.txt: the pose is not a rotation"),
        ("nan 0 0 0 0 1 0 0 0 0 1 -2 0 0 0 1", r"000001\.txt: holds NaN"),
        ("1 0 0 0 0 1 0 0 0 0 1 -2 0 0 1 1", r"000001\.txt: the last row"),
        ("1 0 0 0 0 1 0 0 0 0 1 2 0 0 0 1", r"000001\.txt, which turns away"),
    ],
)
def test_broken_poses(tmp_path: Path, folder: Path, pose: str, message: str):
    (folder / "pose/000001.txt").write_text(pose)
    scene = open_scene("gso/cup/black_16", tmp_path)
    for read in (scene.w2c, scene.K, scene.depth_range):
        with pytest.raises(DatasetError, match=message):
            read("1")


def test_images_of_another_kind_or_size(tmp_path: Path, folder: Path):
    cv2.imwrite(str(folder / "depth/000001.png"), np.zeros((32, 32), np.uint8))
    cv2.imwrite(str(folder / "mask/000001.png"), np.zeros((16, 16), np.uint8))
    scene = open_scene("gso/cup/black_16", tmp_path)
    with pytest.raises(DatasetError, match=r"depth/000001\.png: a PNG of one channel of 16 bits"):
        scene.depth("1")
    with pytest.raises(DatasetError, match=r"mask/000001\.png: the mask is 16×16, 32×32 was expected"):
        scene.image("1")
    with pytest.raises(DatasetError, match="no image '3'; the first of its ids is '0'"):
        scene.image("3")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gso/cupp/black_16", "Did you mean 'cup'"),
        ("gso/cup/blck_16", "Did you mean 'black'"),
        ("gso/cup/black_64", "never enlarged. Open gso/cup/black_32 instead"),
        ("gso/cup/raw", r"such as gso/Toy_Car/white_400"),
    ],
)
def test_names_that_cannot_be_opened(tmp_path: Path, folder: Path, name: str, message: str):
    with pytest.raises(DatasetError, match=message):
        open_scene(name, tmp_path)
