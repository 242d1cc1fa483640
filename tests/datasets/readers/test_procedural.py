"""Made scenes are read back as they were written, and broken ones are named with the remedy."""

import json

import numpy as np
import pytest

from maskrf_core.datasets.files.sheets import encode_depth, write_sheets
from maskrf_core.datasets.scene import open_scene, scene_names
from maskrf_core.support.errors import DatasetError

SIZE, VIEWS = 16, 7


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    K = [[20.0, 0.0, (SIZE - 1) / 2], [0.0, 20.0, (SIZE - 1) / 2], [0.0, 0.0, 1.0]]
    cameras = {
        f"view_{view:02d}": {"K": K, "w2c": np.eye(4)[:3].tolist(), "depth_range": [1.0, 5.0 + view]}
        for view in range(VIEWS)
    }
    images = [np.full((SIZE, SIZE, 3), [10 * view, 60, 200 - 20 * view], np.uint8) for view in range(VIEWS)]
    depths = [rng.uniform(1, 5, (SIZE, SIZE)).round(2) for _ in range(VIEWS)]
    encoded = [encode_depth(depth, (1.0, 5.0 + view)) for view, depth in enumerate(depths)]
    for name in ("rooms_0001", "rooms_9001"):
        write_sheets(tmp_path / "procedural" / name, cameras, images, encoded, quality=101)
    (tmp_path / "procedural" / ".rooms_0002.part").mkdir()
    return tmp_path, images, depths


def test_every_view_comes_back(root):
    folder, images, depths = root
    scene = open_scene("procedural/rooms_0001", folder)
    assert len(scene.image_ids) == VIEWS
    for view, image_id in enumerate(scene.image_ids):
        assert np.array_equal(scene.image(image_id), images[view][..., ::-1])
        assert np.allclose(scene.depth(image_id), depths[view], rtol=1e-4 * (5 + view))
        assert scene.mask(image_id).all()


def test_scenes_that_are_kept_back_are_not_listed_but_can_be_opened(root):
    assert scene_names("procedural", root[0]) == ["procedural/rooms_0001"]
    assert open_scene("procedural/rooms_9001", root[0]).image_ids


@pytest.mark.parametrize("file_name", ["cameras.json", "images.webp", "depths.png"])
def test_a_broken_file_is_named_with_the_remedy(root, file_name):
    path = root[0] / "procedural" / "rooms_0001" / file_name
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DatasetError, match=rf"{file_name} cannot be read; make it again: .* rooms_0001"):
        [(scene := open_scene("procedural/rooms_0001", root[0])).image("view_00"), scene.depth("view_00")]


def test_an_unknown_number_names_what_is_there(root):
    with pytest.raises(DatasetError, match="rooms_0001"):
        open_scene("procedural/rooms_0003", root[0])


def test_of_half_the_size_every_second_pixel_counts_and_points_stay_in_place(root):
    folder, _, depths = root
    whole, half = (open_scene(f"{name}/rooms_0001", folder) for name in ("procedural", "procedural_half"))
    image_id = whole.image_ids[0]
    assert np.array_equal(half.image(image_id), whole.image(image_id)[::2, ::2])
    assert np.allclose(half.depth(image_id), depths[0][::2, ::2], rtol=5e-4)
    assert scene_names("procedural_half", folder) == ["procedural_half/rooms_0001"]
    K, point = half.K(image_id), np.array([0.3, -0.2, 2.0])
    seen, in_whole = K @ point / 2.0, whole.K(image_id) @ point / 2.0
    assert np.allclose(2 * seen[:2], in_whole[:2])


def test_photographs_have_no_depth_nor_mask_and_leave_what_is_far_out_of_their_ranges(root):
    folder, images, depths = root
    scene = open_scene("procedural_photographs/rooms_0001", folder)
    assert scene_names("procedural_photographs", folder) == ["procedural_photographs/rooms_0001"]
    for view, image_id in enumerate(scene.image_ids):
        assert np.array_equal(scene.image(image_id), images[view][..., ::-1])
        assert not scene.has_depth(image_id)
        assert scene.depth(image_id) is None
        assert scene.mask(image_id).all()
        near, far = scene.depth_range(image_id)
        nearer, farther = np.count_nonzero(depths[view] < near), np.count_nonzero(depths[view] > far)
        assert 1 <= nearer <= 2  # of 256 depths 0.5 %, some alike
        assert 18 <= farther <= 22  # 8 %


def test_ranges_of_photographs_do_not_count_what_has_no_depth(root):
    folder, images, depths = root
    cameras = json.loads((folder / "procedural" / "rooms_0001" / "cameras.json").read_text())
    alike, none = np.full((SIZE, SIZE), 3.0), np.zeros((SIZE, SIZE))
    half = np.where(np.arange(SIZE) < 8, 0, np.linspace(2, 4, SIZE)[:, None])
    shown = [encode_depth(depth, (1.0, 5.0 + view)) for view, depth in enumerate([half, alike, none, *depths[3:]])]
    write_sheets(folder / "procedural" / "rooms_0003", cameras, images, shown, quality=101)
    scene = open_scene("procedural_photographs/rooms_0003", folder)
    assert scene.depth_range("view_00") == pytest.approx(tuple(np.percentile(np.linspace(2, 4, SIZE), (0.5, 92))), 0.02)
    assert scene.depth_range("view_01") == (1.0, 6.0)  # one depth is no range
    assert scene.depth_range("view_02") == (1.0, 7.0)
