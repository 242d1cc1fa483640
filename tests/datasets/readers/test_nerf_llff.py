import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrf_core.datasets.readers.llff import average_pose, read_llff_poses
from maskrf_core.datasets.scene import open_scene, scene_names
from maskrf_core.support.errors import DatasetError
from tests.datasets.readers.trees.nerf_llff import VIEWS, build, poses_bounds


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    build(tmp_path)
    return tmp_path


def test_cameras_by_hand(data_root: Path):
    scene = open_scene("nerf_llff/shelf/4", data_root)
    scale = 1 / (0.75 * 6)
    np.testing.assert_allclose(scene.K("im03"), [[20, 0, 8], [0, 20, 6], [0, 0, 1]])
    # The average camera becomes the origin; the world then has OpenGL axes, so OpenCV cameras are turned about x.
    expected = np.array([[1, 0, 0, -(3 - 4.5) * scale], [0, -1, 0, 0], [0, 0, -1, 0]])
    np.testing.assert_allclose(scene.w2c("im03"), expected, atol=1e-12)
    np.testing.assert_allclose(scene.depth_range("im03"), (6.3 * scale, 30 * scale))
    assert (scene.image("im03") == 3).all()
    assert scene.mask("im03").all()
    assert scene.depth("im03") is None


def test_numbers_without_padding_are_in_their_order(tmp_path: Path):
    """Ten images are the rows' order either way; of twelve 10 would come after 1 as text, which is said."""
    folder = tmp_path / "nerf_llff_data/shelf"
    (folder / "images_4").mkdir(parents=True)
    rows = np.concatenate([poses_bounds(), poses_bounds()[:2]])
    rows[:, 3] = np.arange(12)  # the centre's x, in the last column of the first row of 3×5
    rows[:, 4] = 48
    np.save(folder / "poses_bounds.npy", rows)
    for number in range(12):
        cv2.imwrite(str(folder / f"images_4/{number}.png"), np.full((12, 16, 3), 9 + number, np.uint8))
    with pytest.warns(UserWarning, match="rows of poses_bounds.npy"):
        scene = open_scene("nerf_llff/shelf/4", tmp_path)
    assert scene.image_ids == [str(number) for number in range(12)]
    centres = [-scene.w2c(image_id)[0, 3] * 0.75 * 6 for image_id in scene.image_ids]
    np.testing.assert_allclose(np.diff(centres), 1)
    assert [scene.image(image_id)[0, 0, 0] for image_id in scene.image_ids] == list(range(9, 21))


def test_splits(data_root: Path):
    scene = open_scene("nerf_llff/shelf/4", data_root)
    references = [f"im{view:02}" for view in range(VIEWS) if view not in (0, 8)]
    assert scene.split("test") == (references, ["im00", "im08"])
    assert scene.split("validation") == scene.split("test")
    assert scene.split("train") == (references, references)


def test_poses_reproduce_the_reference_reader(shared: Path):
    """real_iconic has the same poses file; the reference reader's cameras of it are known."""
    with np.load(shared / "reference/datasets/expected.npz", allow_pickle=False) as file:
        w2c, depth_range, K = (file[f"real_iconic|garden|4/{field}"] for field in ("w2c", "depth_range", "K"))
    path = shared / "reference/datasets/real_iconic_noface/garden/poses_bounds.npy"
    read_w2c, read_range, (_, _, focal) = read_llff_poses(path)
    np.testing.assert_allclose(read_w2c, w2c, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(read_range, depth_range, rtol=1e-4)
    assert focal / 4 == pytest.approx(K[0, 0, 0])


def edit_poses(row: int, column: int, value: float):
    def edit(rows: np.ndarray) -> np.ndarray:
        rows[row, column] = value
        return rows

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edit_poses(2, 3, np.nan), "NaN or infinity"),
        (edit_poses(2, 0, 0.5), "row 2: the pose is not a rotation"),
        (edit_poses(2, 15, 0.0), r"row 2: the depth range is \(0, 30\)"),
        (edit_poses(2, 15, 31.0), r"row 2: the depth range is \(31, 30\)"),
        (edit_poses(2, 14, 81.0), "the same in all rows"),
        (edit_poses(slice(None), 14, -80.0), "must be positive"),
        (edit_poses(slice(None), 9, 80.0), "20×12 is expected for factor 4"),
        (lambda rows: rows[:-1], "holds 10 images, but poses_bounds.npy has 9 poses"),
        (lambda rows: rows[:, :-1], r"shape \(10, 16\), n×17"),
        (lambda rows: rows[:0], "n×17"),
        (lambda rows: rows.astype(object), "poses_bounds.npy: not a readable"),
        (lambda rows: rows.astype(str), "array of numbers"),
    ],
)
def test_broken_poses(data_root: Path, edit, message: str):
    np.save(data_root / "nerf_llff_data/shelf/poses_bounds.npy", edit(poses_bounds()), allow_pickle=True)
    with pytest.raises(DatasetError, match=message) as error:
        open_scene("nerf_llff/shelf/4", data_root)
    assert "shelf" in str(error.value)


def test_mirrored_pose(data_root: Path):
    rows = poses_bounds()
    rows[4, [0, 5, 10]] *= -1
    np.save(data_root / "nerf_llff_data/shelf/poses_bounds.npy", rows)
    with pytest.raises(DatasetError, match=r"row 4: .*det R = -1"):
        open_scene("nerf_llff/shelf/4", data_root)


def test_views_in_opposite_directions_have_no_average():
    pose = np.eye(4)[:3]
    turned = pose @ np.diag([-1, 1, -1, 1])
    with pytest.raises(DatasetError, match=r"here: .*forward-facing"):
        average_pose(np.stack([pose, turned]), "here")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nerf_llff/shelff/4", "Did you mean 'shelf'"),
        ("nerf_llff/shelf/8", "images_8: missing. Existing are images_4"),
        ("nerf_llff/shelf/four", "such as nerf_llff/fern/8"),
        ("nerf_llff/shelf/0", "such as nerf_llff/fern/8"),
        ("nerf_llff/shelf", "such as nerf_llff/fern/8"),
        ("nerf_llff/../4", "no scene '..'"),
        ("nerf_lff/shelf/4", "Did you mean 'nerf_llff'"),
    ],
)
def test_names_that_cannot_be_opened(data_root: Path, name: str, message: str):
    with pytest.raises(DatasetError, match=message):
        open_scene(name, data_root)


def test_broken_images(data_root: Path):
    images = data_root / "nerf_llff_data/shelf/images_4"
    whole = (images / "im05.png").read_bytes()
    (images / "im05.png").write_bytes(whole[:-20])
    scene = open_scene("nerf_llff/shelf/4", data_root)
    with pytest.raises(DatasetError, match=r"im05\.png: the image is cut short or damaged"):
        scene.image("im05")
    (images / "im05.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"im05\.png: not a PNG or JPEG"):
        open_scene("nerf_llff/shelf/4", data_root)
    (images / "im05.png").write_bytes(whole)
    (images / "im04.png").rename(images / "im05.jpg")
    with pytest.raises(DatasetError, match="two images differ in their suffix"):
        open_scene("nerf_llff/shelf/4", data_root)
    with pytest.raises(DatasetError, match="no image 'im99'"):
        scene.K("im99")


def test_the_layout_s_own_folder_name_serves_too(data_root: Path):
    shutil.move(data_root / "nerf_llff_data", data_root / "nerf_llff")
    assert len(open_scene("nerf_llff/shelf/4", data_root).image_ids) == VIEWS


def test_a_scene_in_both_folders_is_listed_once(data_root: Path):
    shutil.copytree(data_root / "nerf_llff_data", data_root / "nerf_llff")
    assert scene_names("nerf_llff", data_root) == ["nerf_llff/shelf/8"]
