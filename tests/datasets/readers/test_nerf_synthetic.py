import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from maskrf_core.cameras import camera_centres
from maskrf_core.datasets.scene import open_scene, scene_names
from maskrf_core.support.errors import DatasetError
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.readers.published import assert_as_published
from tests.datasets.readers.trees.nerf_synthetic import build, camera_to_world


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    build(tmp_path)
    return tmp_path


def edit(data_root: Path, split: str, change) -> None:
    path = data_root / "nerf_synthetic" / "cube" / f"transforms_{split}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("variant", ["black_800", "black_400", "white_400"])
def test_reproduces_the_reference_reader(shared: Path, variant: str):
    with pytest.warns(UserWarning, match="val-r_39"):
        assert_as_published(shared, f"nerf_synthetic/lego/{variant}")


def test_real_lego_opens_with_all_its_splits(shared: Path):
    scene = open_scene("nerf_synthetic/lego/black_400", shared / "scenes")
    assert scene.split("validation")[1] == [f"val-r_{n}" for n in (39, 2, 94, 62, 23, 36)]
    assert scene_names("nerf_synthetic", shared / "scenes") == ["nerf_synthetic/lego/black_400"]  # of 800 published
    assert [len(ids) for ids in scene.split("test")] == [40, 10]
    assert scene.image("test-r_13").shape == (400, 400, 3)
    assert not scene.image("test-r_13")[~scene.mask("test-r_13")].any()


def test_camera_by_hand(data_root: Path):
    scene = open_scene("nerf_synthetic/cube/white_8", data_root)
    focal = 4 / np.tan(0.4)
    np.testing.assert_allclose(scene.K("train-r_0"), [[focal, 0, 4], [0, focal, 4], [0, 0, 1]])
    # The first camera stands at (0, -4, 0) with x to the right and z up, looking at the origin along +y.
    np.testing.assert_allclose(scene.w2c("train-r_0"), [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 4]], atol=1e-12)
    w2c = torch.from_numpy(scene.w2c("train-r_2"))
    np.testing.assert_allclose(camera_centres(w2c), camera_to_world(2 / 3)[:3, 3], atol=1e-12)


@pytest.mark.parametrize("listed", ["test\\r_0", ".\\test\\r_0.png", "./test/r_0.PNG", "test/r_0.png"])
def test_file_paths_as_other_systems_write_them(data_root: Path, listed: str):
    before = open_scene("nerf_synthetic/cube/white_16", data_root)
    edit(data_root, "test", lambda content: content["frames"][0].update(file_path=listed))
    scene = open_scene("nerf_synthetic/cube/white_16", data_root)
    assert scene.image_ids == before.image_ids
    np.testing.assert_array_equal(scene.image("test-r_0"), before.image("test-r_0"))


def test_background_shows_where_alpha_is_zero(data_root: Path):
    for background, value in {"black": 0, "white": 255}.items():
        scene = open_scene(f"nerf_synthetic/cube/{background}_16", data_root)
        assert (scene.image("train-r_1")[:4] == value).all()
        assert scene.mask("train-r_1").sum() == 12 * 16
        assert scene.depth("train-r_1") is None
        assert scene.split("train") == (["train-r_0", "train-r_1", "train-r_2"],) * 2


def test_kept_depth_is_cut_out_by_the_mask(data_root: Path):
    path = data_root / "nerf_synthetic/cube/colmap_depth/train-r_1.png.geometric.bin"
    path.parent.mkdir()
    write_colmap_depth(path, np.full((16, 16), 5, np.float32))
    scene = open_scene("nerf_synthetic/cube/black_8", data_root)
    assert scene.depth("train-r_0") is None
    np.testing.assert_array_equal(scene.depth("train-r_1"), np.where(scene.mask("train-r_1"), 5, 0))


def test_absent_validation_frames_are_said_and_left_out(data_root: Path):
    scene = open_scene("nerf_synthetic/cube/black_16", data_root)
    with pytest.warns(UserWarning, match="val-r_39, val-r_94"):
        assert scene.split("validation")[1] == ["val-r_2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene.split("validation")  # said once


def test_listed_but_absent_frame(data_root: Path):
    (data_root / "nerf_synthetic/cube/test/r_0.png").unlink()
    with pytest.raises(DatasetError, match=r"transforms_test.json, frame 0: lists ./test/r_0, .*missing.*Unpack"):
        open_scene("nerf_synthetic/cube/black_16", data_root)


def set_matrix(row: int, column: int, value: object):
    def change(content: dict) -> None:
        content["frames"][1]["transform_matrix"][row][column] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("frames"), "'frames' is not a list"),
        (lambda c: c.update(frames=[]), "'frames' is not a list"),
        (lambda c: c.update(frames=["r_0"]), "frame 0: has no file_path"),
        (lambda c: c.update(camera_angle_x=float("nan")), "camera_angle_x is nan"),
        (lambda c: c.update(camera_angle_x="0.8"), "camera_angle_x is '0.8'"),
        (lambda c: c["frames"].append(c["frames"][0]), "lists ./train/r_0 twice"),
        (lambda c: c["frames"][0].update(file_path="../../secret"), "not inside the scene"),
        (lambda c: c["frames"][0].update(file_path="/etc/passwd"), "not inside the scene"),
        (lambda c: c["frames"][2].pop("transform_matrix"), r"frame 2 \(r_2\): transform_matrix"),
        (set_matrix(0, 0, float("nan")), r"frame 1 \(r_1\): the pose holds NaN"),
        (set_matrix(0, 0, 10**400), "transform_matrix is not a matrix of numbers"),
        (set_matrix(0, 0, "one"), "transform_matrix is not a matrix of numbers"),
        (set_matrix(0, 0, 2.0), "not a rotation"),
        (set_matrix(3, 0, 1.0), "last row"),
        (lambda c: [c["frames"][1]["transform_matrix"].pop() for _ in "12"], "not 3×4, nor 4×4"),
        (lambda c: c["frames"][1]["transform_matrix"][1].pop(), "transform_matrix is not a matrix of numbers"),
    ],
)
def test_broken_transforms(data_root: Path, change, message: str):
    edit(data_root, "train", change)
    with pytest.raises(DatasetError, match=message) as error:
        open_scene("nerf_synthetic/cube/black_16", data_root)
    assert "cube" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_transforms_that_do_not_parse(data_root: Path, content: bytes):
    (data_root / "nerf_synthetic/cube/transforms_val.json").write_bytes(content)
    with pytest.raises(DatasetError, match=r"transforms_val\.json"):
        open_scene("nerf_synthetic/cube/black_16", data_root)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nerf_synthetic/cub/black_16", "Did you mean 'cube'"),
        ("nerf_synthetic/../black_16", "no scene"),
        ("nerf_synthetic/cube/blak_16", "Did you mean 'black'"),
        ("nerf_synthetic/cube/black", "nerf_synthetic/lego/black_400"),
        ("nerf_synthetic/cube/black_0", "nerf_synthetic/lego/black_400"),
        ("nerf_synthetic/cube", "nerf_synthetic/lego/black_400"),
        ("nerf_synthetic/cube/black_32", "never enlarged. Open nerf_synthetic/cube/black_16 instead"),
    ],
)
def test_names_that_cannot_be_opened(data_root: Path, name: str, message: str):
    with pytest.raises(DatasetError, match=message):
        open_scene(name, data_root)


def test_no_data_root(tmp_path: Path):
    with pytest.raises(DatasetError, match="another data root"):
        open_scene("nerf_synthetic/cube/black_16", tmp_path / "absent")


def test_images_of_unequal_size_and_without_alpha(data_root: Path):
    path = data_root / "nerf_synthetic/cube/train/r_1.png"
    cv2.imwrite(str(path), np.zeros((16, 16, 3), np.uint8))
    scene = open_scene("nerf_synthetic/cube/black_16", data_root)
    with pytest.raises(DatasetError, match=r"r_1\.png: has no alpha channel"):
        scene.image("train-r_1")
    with pytest.raises(DatasetError, match="no image 'r_1'; the first of its ids is 'train-r_0'"):
        scene.image("r_1")
    cv2.imwrite(str(path), np.zeros((16, 8, 4), np.uint8))
    with pytest.raises(DatasetError, match=r"r_1\.png: the image is 8×16, but r_0\.png is 16×16"):
        open_scene("nerf_synthetic/cube/black_16", data_root)
