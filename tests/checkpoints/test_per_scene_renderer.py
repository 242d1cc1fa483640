"""From a renderer of any scene to that of one: where its maps come from, what is kept, and what it refuses."""

import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.per_scene_renderer import check_scene, for_one_scene, initial_maps
from maskrf_core.datasets.batches.batch import FROM_DEPTHS, ModelInputs
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import DatasetError
from tests.datasets.memory_scene import MemoryScene
from tests.model.tiny import tiny_renderer

IN_SHARED_RANGE = FROM_DEPTHS._replace(shared_range=True)


@pytest.fixture(scope="module")
def general() -> Renderer:
    return tiny_renderer()


def scene_views(count: int = 6, **shape) -> SceneViews:
    return SceneViews(MemoryScene(count, name="memory/line", **shape))


def test_each_map_is_what_the_init_network_says_of_the_view_and_its_nearest(general):
    """Of the 12 training views in a line, view_2 is seen with one on its left and six on its right."""
    views = scene_views(13)
    maps = initial_maps(general, views)
    assert len(maps) == len(views.training_ids) == 12
    together = ["view_2", "view_1", "view_3", "view_4", "view_5", "view_6", "view_7", "view_8"]
    with torch.no_grad():
        expected = general.visibility_init(views.working_views(together, inputs=IN_SHARED_RANGE)[0])[:1]
        alone = general.visibility_init(views.working_views(["view_2"], inputs=IN_SHARED_RANGE)[0])
    torch.testing.assert_close(maps[1], expected)
    assert not torch.allclose(maps[1], alone, atol=1e-3)


def test_all_other_weights_are_copied_and_the_init_network_is_left_out(general):
    special = for_one_scene(general, scene_views())
    ours, theirs = special.state_dict(), general.state_dict()
    shared = [name for name in theirs if not name.startswith("visibility_init.")]
    assert set(ours) == {*shared, *(f"free_maps.maps.{place}" for place in range(5))}
    assert all(torch.equal(ours[name], theirs[name]) for name in shared)
    assert special.visibility_init is None
    free = special.settings.free_maps
    assert (free.views, free.height, free.width, free.scene) == (5, 8, 12, "memory/line")
    with torch.no_grad():
        special.image_encoder.head.weight += 1
    assert not torch.equal(special.image_encoder.head.weight, general.image_encoder.head.weight)
    assert all(parameter.requires_grad for parameter in special.free_maps.parameters())


def test_with_as_many_views_as_there_are_it_renders_as_the_general_one_does(general):
    """With 5 training views every map is made of all of them, and so are the 5 working views of a test view."""
    views = scene_views()
    batch = evaluation_batch(views, "view_0", views.training_ids, 5, IN_SHARED_RANGE)
    special = for_one_scene(general, views)
    assert special.inputs == ModelInputs(depths=False, sources=False, shared_range=True)
    assert list(batch.references.training_index) == [0, 1, 2, 3, 4]
    ours, theirs = (each.render(batch).fine.rgb for each in (special, general))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_images_that_are_padded_and_one_training_view(general):
    special = for_one_scene(general, scene_views(2, height=37, width=50))
    assert [tuple(each.shape) for each in special.free_maps.maps] == [(1, 32, 12, 16)]
    views = scene_views(2, height=37, width=50)
    assert special.render(evaluation_batch(views, "view_0", views.training_ids, 1)).fine.rgb.isfinite().all()


def test_depth_that_is_unknown_everywhere_gives_finite_maps(general, monkeypatch):
    monkeypatch.setattr(MemoryScene, "depth", lambda self, image_id: np.zeros(self.shape, np.float32))
    special = for_one_scene(general, scene_views())
    assert all(each.isfinite().all() for each in special.free_maps.maps)


def test_images_of_unequal_sizes_are_refused(general, monkeypatch):
    def image(self, image_id):
        return np.zeros((64 if image_id == "view_5" else 32, 48, 3), np.uint8)

    monkeypatch.setattr(MemoryScene, "image", image)
    monkeypatch.setattr(
        MemoryScene, "depth", lambda self, image_id: np.ones(image(self, image_id).shape[:2], np.float32)
    )
    with pytest.raises(DatasetError, match="memory/line: its training views are of unequal sizes"):
        for_one_scene(general, scene_views())


def test_another_scene_is_refused(general):
    special = for_one_scene(general, scene_views())
    check_scene(special, scene_views())
    check_scene(general, SceneViews(MemoryScene(name="memory/else")))
    with pytest.raises(DatasetError, match="memory/else: the model has free visibility maps of memory/line"):
        check_scene(special, SceneViews(MemoryScene(name="memory/else")))
    with pytest.raises(DatasetError, match=r"memory/line: has 6 training views, but .* maps of 5"):
        check_scene(special, scene_views(7))


def test_a_model_of_one_scene_cannot_begin_another(general):
    special = for_one_scene(general, scene_views())
    with pytest.raises(ValueError, match="without an init network"):
        for_one_scene(special, scene_views())


def test_maps_of_cost_volumes_see_training_views_alone(monkeypatch):
    """Images whose sides are no multiples of 32 are padded further for the init network; the maps are not."""
    torch.manual_seed(0)
    general = Renderer(ModelSettings(visibility_init="cost_volume", coarse_samples=9, fine_samples=2)).eval()
    views = scene_views(height=48, width=80)
    monkeypatch.setattr(MemoryScene, "depth", lambda self, image_id: pytest.fail("no depth is needed"))
    special = for_one_scene(general, views)
    assert [tuple(each.shape) for each in special.free_maps.maps] == [(1, 32, 12, 20)] * 5
    assert "view_0" not in views.scene.reads
    together = ["view_3", "view_2", "view_4", "view_1", "view_5"]
    with torch.no_grad():
        inputs = general.inputs._replace(shared_range=True)
        expected = general.visibility_init(*views.working_views(together, views.training_ids, inputs))
    torch.testing.assert_close(special.free_maps.maps[2], expected[:1, :, :12, :20])
    assert (
        special.render(evaluation_batch(views, "view_0", views.training_ids, 3, special.inputs))
        .fine.rgb.isfinite()
        .all()
    )
