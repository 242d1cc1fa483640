"""Which references and which pixels, and what becomes of images: by hand and by counting."""

import numpy as np
import pytest
import torch

from maskrf_core.cameras import back_project, project
from maskrf_core.datasets.batches import scene_views as views_module
from maskrf_core.datasets.batches.evaluation_batches import all_pixels, evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews, expand_scene_names
from maskrf_core.datasets.demo import demo_scene_names
from maskrf_core.support.errors import DatasetError
from tests.datasets.memory_scene import MemoryScene


@pytest.fixture
def views():
    return SceneViews(MemoryScene())


def test_images_become_floats_in_the_right_place(views):
    query = views.query("view_3")
    image = views.scene.image("view_3")
    assert query.images.dtype == torch.float32
    assert query.images[0, 1, 5, 7].item() == pytest.approx(image[5, 7, 1] / 255)
    assert query.masks.shape == (1, 32, 48)
    assert query.depths is None


def test_each_image_is_decoded_once(views):
    for _ in range(3):
        views.working_views(["view_0", "view_1"])
    assert sorted(views.scene.reads) == ["view_0", "view_1"]


def test_nearest_by_camera_centre(views):
    assert views.nearest("view_2", ["view_0", "view_5", "view_1", "view_3"], 3) == ["view_1", "view_3", "view_0"]


def test_too_few_references_is_an_error_with_a_remedy(views):
    with pytest.raises(DatasetError, match=r"memory: 9 working views .* only 5 .*Set working_views to 5 or less"):
        evaluation_batch(views, "view_0", views.scene.split("test")[0], 9)


def test_evaluation_takes_the_nearest_and_all_pixels(views):
    batch = evaluation_batch(views, "view_0", ["view_4", "view_1", "view_2"], 2)
    assert batch.references.w2c[:, 0, 3].tolist() == [-1, -2]
    assert len(batch.pixels_xy) == 32 * 48
    assert batch.pixels_xy[48].tolist() == [0, 1]


def test_padding_keeps_points_on_their_content():
    """A pixel's world point still projects to the same pixel, and the image there is unchanged."""
    views = SceneViews(MemoryScene(height=37, width=50)).working_views(["view_0", "view_1"])[0]
    assert views.image_size == (48, 64)
    original = torch.from_numpy(MemoryScene(height=37, width=50).image("view_1")).permute(2, 0, 1) / 255
    torch.testing.assert_close(views.images[1, :, :37, :50], original)
    assert torch.equal(views.images[:, :, 37], views.images[:, :, 35])  # reflection
    points = back_project(views.K, views.w2c, views.depths[:, 0])
    projection = project(views.K[:1], views.w2c[:1], points[0], 48, 64)
    torch.testing.assert_close(projection.pixels_xy[0, 30, 40], torch.tensor([40.0, 30.0]))


def test_images_too_small_to_pad():
    with pytest.raises(DatasetError, match="too small"):
        SceneViews(MemoryScene(height=8, width=50)).working_views(["view_0"])


def test_images_of_unequal_size_are_filled_up_with_unknown(views):
    scene = views.scene
    sizes = {"view_0": (32, 48), "view_1": (20, 50)}
    scene.image = lambda image_id: np.full((*sizes[image_id], 3), 255, np.uint8)
    scene.mask = lambda image_id: np.ones(sizes[image_id], bool)
    scene.depth = lambda image_id: np.full(sizes[image_id], 3.0, np.float32)
    loaded = views.load(["view_0", "view_1"], masks=True, depths=True)
    assert loaded.image_size == (32, 50)
    for part in (loaded.images[:, 0], loaded.masks, loaded.depths[:, 0] / 3):
        assert (part[0, :, :48] == 1).all()
        assert not part[0, :, 48:].any()
        assert (part[1, :20] == 1).all()
        assert not part[1, 20:].any()


def test_own_depths_are_read_for_the_views_in_use_only(views):
    read = []
    views.scene.depth = lambda image_id: read.append(image_id) or np.full((32, 48), 3.0, np.float32)
    for _ in range(2):
        views.working_views(["view_1", "view_4"])
    assert read == ["view_1", "view_4"]


def test_depths_that_are_missing_are_estimated_together(monkeypatch):
    """All at once, on the views that belong together, and where some are the scene's own, with them."""
    asked = []

    def estimated(scene, image_ids, cache_root, device):
        assert device == "cpu"
        asked.append(list(image_ids))
        return dict.fromkeys(image_ids, np.full((32, 48), 2.0, np.float32))

    monkeypatch.setattr(views_module, "depth_maps", estimated)
    scene = MemoryScene()
    scene.depth = lambda image_id: None
    views = SceneViews(scene, estimated_together=scene.image_ids, device="cpu")
    assert (views.working_views(["view_1", "view_4"])[0].depths == 2).all()
    views.working_views(["view_0", "view_5"])
    SceneViews(scene, device="cpu").working_views(["view_0", "view_5"])
    assert asked == [scene.image_ids, ["view_0", "view_5"]]


def test_cameras_are_asked_for_once(views, monkeypatch):
    views.nearest("view_0", ["view_1", "view_2"], 1)
    monkeypatch.setattr(views.scene, "w2c", None)
    assert views.nearest("view_1", ["view_0", "view_2"], 2) == ["view_0", "view_2"]


def test_demo_splits_stand_for_their_scenes():
    assert expand_scene_names(["demo/test", "x/y"]) == [*demo_scene_names("test"), "x/y"]


def test_all_pixels_row_by_row():
    assert all_pixels(2, 3).tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
