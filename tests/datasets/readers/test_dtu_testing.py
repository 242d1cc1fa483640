from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene, scene_names
from maskrf_core.support.errors import DatasetError
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.readers.published import assert_as_published
from tests.datasets.readers.tree_parts import disc, write
from tests.datasets.readers.trees.dtu_test import VIEWS, build
from tests.datasets.readers.trees.dtu_train import K, cameras

NAME = "dtu_test/birds/black_20"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path)
    return tmp_path / "dtu_test/birds"


@pytest.mark.parametrize("width", [800, 400])
def test_reproduces_the_reference_reader(shared: Path, width: int):
    assert_as_published(shared, f"dtu_test/birds/black_{width}", grey_levels=0)


def test_real_scan_opens_without_a_depth_range(shared: Path):
    """Its masks hold the projected centre of the unit sphere that the ranges are taken from, in every view."""
    assert scene_names("dtu_test", shared / "scenes") == ["dtu_test/scan65/black_400"]
    scene = open_scene("dtu_test/scan65/black_400", shared / "scenes")
    assert scene.split("test")[1] == ["3", "11", "19", "27", "35", "43"]
    for image_id in scene.image_ids[::12]:
        near, far = scene.depth_range(image_id)
        x, y, depth = scene.K(image_id) @ scene.w2c(image_id)[:, 3]
        assert (near, far) == pytest.approx((depth - 1, depth + 1))
        assert scene.mask(image_id)[round(y / depth), round(x / depth)]
        assert not scene.image(image_id)[~scene.mask(image_id)].any()


def test_cameras_scale_with_the_width(tmp_path: Path, folder: Path):
    scene = open_scene(NAME, tmp_path)
    np.testing.assert_allclose(scene.K("2"), np.diag([0.5, 0.5, 1]) @ K, atol=1e-6)
    np.testing.assert_allclose(scene.w2c("2")[:, 3], [0, 0, 2.5], atol=1e-6)
    assert scene.depth_range("2") == (1.2, 3.4)
    (folder / "depth_range.npy").unlink()
    assert open_scene(NAME, tmp_path).depth_range("2") == pytest.approx((1.5, 3.5))


def test_masks_are_any_channel_above_zero(tmp_path: Path, folder: Path):
    blue_only = np.zeros((30, 40, 3), np.uint8)
    blue_only[..., 0] = disc(30, 40) // 255
    cv2.imwrite(str(folder / "mask/004.png"), blue_only)
    scene = open_scene("dtu_test/birds/black_40", tmp_path)
    np.testing.assert_array_equal(scene.mask("4"), disc(30, 40) > 0)
    np.testing.assert_array_equal(scene.image("4").any(-1), disc(30, 40) > 0)


def test_masks_belong_to_images_by_number_whatever_their_padding(tmp_path: Path):
    """Published are 000000.png and 000.png; here are masks without padding, each image with a stripe of its own."""
    folder = tmp_path / "dtu_test/birds"
    for view in range(12):
        stripe = np.zeros((30, 40, 3), np.uint8)
        stripe[:, 3 * view : 3 * view + 3] = 10 * view + 100
        write(folder / f"image/{view:06}.png", stripe)
        write(folder / f"mask/{view}.png", 255 * (stripe > 0).astype(np.uint8))
    np.savez(folder / "cameras.npz", **cameras(12))
    scene = open_scene("dtu_test/birds/black_40", tmp_path)
    for view in range(12):
        assert scene.mask(str(view)).sum() == 30 * 3
        np.testing.assert_array_equal(scene.image(str(view)).max(), 10 * view + 100)
    (folder / "mask/11.png").rename(folder / "mask/12.png")
    with pytest.raises(DatasetError, match=r"000011\.png: has no counterpart"):
        open_scene("dtu_test/birds/black_40", tmp_path)


def test_kept_depth_is_cut_out_by_the_mask(tmp_path: Path, folder: Path):
    (folder / "colmap_depth").mkdir()
    write_colmap_depth(folder / "colmap_depth/1.jpg.geometric.bin", np.full((30, 40), 2, np.float32))
    scene = open_scene(NAME, tmp_path)
    np.testing.assert_array_equal(scene.depth("1"), 2 * scene.mask("1"))
    assert scene.depth("0") is None


def test_splits(tmp_path: Path, folder: Path):
    scene = open_scene(NAME, tmp_path)
    references = [image_id for image_id in scene.image_ids if image_id != "3"]
    assert scene.split("test") == scene.split("validation") == (references, ["3"])
    assert scene.split("train") == (references, references)
    for view in range(5, VIEWS):
        (folder / f"image/{view:06}.png").unlink()
        (folder / f"mask/{view:03}.png").unlink()
    np.savez(folder / "cameras.npz", **cameras(5))
    assert open_scene(NAME, tmp_path).split("test") == (["0", "1", "3", "4"], ["2"])


def test_a_scene_goes_by_its_scan_s_name_too(tmp_path: Path, folder: Path):
    assert open_scene("dtu_test/scan106/black_20", tmp_path).folder == folder
    (tmp_path / "dtu").mkdir()
    moved = folder.rename(tmp_path / "dtu/scan106")
    assert open_scene(NAME, tmp_path).folder == moved
    assert scene_names("dtu_test", tmp_path) == ["dtu_test/scan106/black_40"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            lambda folder: (folder / "mask/003.png").unlink(),
            r"000003\.png: has no counterpart.*image holds 9 images and mask 8",
        ),
        (lambda folder: (folder / "cameras.npz").unlink(), r"cameras\.npz: missing"),
        (lambda folder: np.save(folder / "depth_range.npy", [3.4, 1.2]), r"depth_range\.npy: the depth range"),
        (lambda folder: np.save(folder / "depth_range.npy", [1.0, 2, 3]), r"depth_range\.npy: the array has shape"),
        (lambda folder: (folder / "mask").rename(folder / "masks"), "birds/mask: cannot be listed"),
    ],
)
def test_faults(tmp_path: Path, folder: Path, fault, message: str):
    fault(folder)
    with pytest.raises(DatasetError, match=message):
        open_scene(NAME, tmp_path)


def test_names_that_cannot_be_opened(tmp_path: Path, folder: Path):
    for name, message in {
        "dtu_test/birds/white_20": r"called dtu_test/<scene>/black_<width>, such as",
        "dtu_test/birds/black_raw": "such as dtu_test/birds/black_400",
        "dtu_test/birds/black_80": "Open dtu_test/birds/black_40 instead",
        "dtu_test/bird/black_20": "Did you mean 'birds'",
    }.items():
        with pytest.raises(DatasetError, match=message):
            open_scene(name, tmp_path)
