"""Source views: whose neighbours they are, and that what happens to the references happens to them; no depth at all."""

import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches.batch import FROM_DEPTHS, ModelInputs
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.batches.training_views import draw_from_scene
from maskrf_core.settings.sections import DataSettings
from tests.datasets.memory_scene import MemoryScene

FOR_COST_VOLUMES = ModelInputs(depths=False, sources=True)


class WithoutDepth(MemoryScene):
    """Cameras at x = 0, 1, 2, …; whoever asks for depth fails."""

    def depth(self, image_id):
        raise AssertionError(f"the depth of {image_id} was asked for")

    has_depth = depth


def places(views) -> list[int]:
    """Number of each view, by its camera."""
    return [-round(x) for x in views.w2c[:, 0, 3].tolist()]


def neighbours_of(batch) -> list[list[int]]:
    every = places(batch.references) + places(batch.sources.views)
    return [[every[index] for index in row] for row in batch.sources.neighbours.tolist()]


def test_the_three_nearest_of_the_pool_and_no_view_twice():
    views = SceneViews(WithoutDepth(count=9))
    batch = evaluation_batch(views, "view_4", [f"view_{n}" for n in (0, 1, 2, 3, 5, 7, 8)], 3, FOR_COST_VOLUMES)
    assert places(batch.references) == [3, 5, 2]
    assert neighbours_of(batch) == [[2, 1, 5], [3, 7, 2], [1, 3, 0]]
    assert sorted(places(batch.sources.views)) == [0, 1, 7]  # 2, 3 and 5 are references: they are not loaded again
    assert batch.references.depths is None
    assert batch.sources.views.training_index is None


@pytest.mark.parametrize(("pool", "expected"), [([1], [[]]), ([1, 3], [[3], [1]]), ([1, 3, 5], [[3, 5], [1, 5]])])
def test_fewer_views_are_fewer_neighbours(pool, expected):
    """Of a pool of 3, two are the working views."""
    views = SceneViews(WithoutDepth())
    batch = evaluation_batch(views, "view_0", [f"view_{n}" for n in pool], min(2, len(pool)), FOR_COST_VOLUMES)
    assert neighbours_of(batch) == expected
    assert batch.sources.neighbours.dtype == torch.int64


def test_the_query_is_no_neighbour_unless_it_is_a_working_view():
    views = SceneViews(WithoutDepth())
    every = views.scene.image_ids
    kept = evaluation_batch(views, "view_2", every, 2, FOR_COST_VOLUMES)  # the nearest to it is itself
    assert places(kept.references) == [2, 1]
    assert neighbours_of(kept) == [[1, 3, 0], [0, 2, 3]]
    apart = evaluation_batch(views, "view_2", ["view_0", "view_1", "view_3"], 2, FOR_COST_VOLUMES)
    assert neighbours_of(apart) == [[0, 3], [1, 0]]


def test_everything_is_padded_to_multiples_of_32():
    views = SceneViews(WithoutDepth(height=37, width=50))
    batch = evaluation_batch(views, "view_0", views.scene.image_ids[1:], 2, FOR_COST_VOLUMES)
    assert batch.references.image_size == batch.sources.views.image_size == (64, 64)
    assert batch.query.image_size == (37, 50)
    number = places(batch.sources.views)[0]
    original = torch.from_numpy(views.scene.image(f"view_{number}")).permute(2, 0, 1) / 255
    torch.testing.assert_close(batch.sources.views.images[0, :, :37, :50], original)
    assert torch.equal(batch.sources.views.images[:, :, 37], batch.sources.views.images[:, :, 35])  # reflection
    torch.testing.assert_close(batch.sources.views.K[0], torch.from_numpy(views.scene.K("view_0")).float())


def test_views_of_unequal_size_come_out_in_one():
    scene = WithoutDepth()
    sizes = dict.fromkeys(scene.image_ids, (32, 48)) | {"view_3": (40, 70), "view_4": (64, 33)}
    scene.image = lambda image_id: np.full((*sizes[image_id], 3), 255, np.uint8)
    references = SceneViews(scene).load(["view_1", "view_2"])
    references, sources = SceneViews(scene).with_sources(references, ["view_1", "view_2"], ["view_3", "view_4"])
    assert references.image_size == sources.views.image_size == (64, 70)
    assert (references.images[0, 0, :32, :48] == 1).all()
    assert not references.images[0, 0, 32:].any()
    assert (sources.views.images[0, 0, :40] == 1).all()
    assert not sources.views.images[1, 0, :, 33:].any()


def draws(scene, times=40, inputs=FOR_COST_VOLUMES, **changes):
    views = SceneViews(scene)
    settings = DataSettings(**{"working_views": 3, "rays": 8} | changes)
    generators = (np.random.default_rng(seed) for seed in range(times))
    return [draw_from_scene(views, settings, inputs, generator=generator).batch for generator in generators]


@pytest.mark.parametrize(
    "name", ["space/hall", "real_iconic/fern", "real_estate/a", "dtu_train/scan1", "demo/train_00"]
)
def test_training_draws_need_no_depth(name):
    batches = draws(WithoutDepth(count=12, name=name), crop_height=32, crop_width=40)
    for batch in batches:
        assert batch.references.depths is None
        assert batch.references.true_depths is None
        query, chosen = places(batch.query)[0], places(batch.references)
        for own, row in zip(chosen, neighbours_of(batch), strict=True):
            others = [number for number in range(12) if number != own and (number != query or query in chosen)]
            assert [abs(number - own) for number in row] == sorted(abs(number - own) for number in others)[:3]


def test_what_is_drawn_does_not_depend_on_what_the_model_needs():
    """Same views, same pixels, same augmentation: only the padding, depths and sources differ."""
    for name in ("space/hall", "dtu_train/scan1", "demo/train_00"):
        scene = MemoryScene(name=name)
        matched, from_depth = (draws(scene, inputs=inputs, crop_width=40) for inputs in (FOR_COST_VOLUMES, FROM_DEPTHS))
        for ours, theirs in zip(matched, from_depth, strict=True):
            assert torch.equal(ours.pixels_xy, theirs.pixels_xy)
            for part in ("K", "w2c", "depth_range"):
                assert torch.equal(getattr(ours.references, part), getattr(theirs.references, part))
            assert torch.equal(ours.query.images, theirs.query.images)


def test_sources_are_cropped_and_mirrored_with_the_references():
    """One window and one mirroring for all: pixels of a source are where its camera says."""
    scene = WithoutDepth(count=8, name="space/hall", height=48, width=64)
    batches = draws(scene, 20, crop_height=32, crop_width=40)
    mirrored = 0
    for batch in batches:
        sources = batch.sources.views
        assert sources.image_size == batch.references.image_size == (32, 64)
        torch.testing.assert_close(sources.K, batch.references.K[:1].expand_as(sources.K))  # the scene has one K
        is_mirrored = sources.K[0, 0, 0] < 0
        mirrored += int(is_mirrored)
        x, y = sources.K[0, :2, 2].tolist()  # of the principal point, which is at (32, 24) of the whole image
        left, top = round(32 - (39 - x if is_mirrored else x)), round(24 - y)
        for number, image in zip(places(sources), sources.images, strict=True):
            original = torch.from_numpy(scene.image(f"view_{number}")).permute(2, 0, 1) / 255
            window = original[:, top : top + 32, left : left + 40]
            torch.testing.assert_close(image[:, :, :40], window.flip(-1) if is_mirrored else window)
    assert 3 < mirrored < 17


def test_objects_are_found_by_the_scenes_own_depth_and_need_none():
    with_depth, without = MemoryScene(name="gso/cup"), MemoryScene(name="gso/cup")
    without.depth = lambda image_id: None
    tightened = {"own": 0, "none": 0}
    for key, scene in (("own", with_depth), ("none", without)):
        for batch in draws(scene):
            assert batch.references.depths is batch.references.true_depths is batch.references.masks is None
            drawn = torch.cat([batch.query.w2c, batch.references.w2c])[:, 0, 3]
            tightened[key] += float(batch.query.depth_range[0].diff()) < 2 - float(drawn.min())  # the longest one's
    assert 10 < tightened["own"] < 30
    assert tightened["none"] == 0


def test_without_visibility_an_objects_own_depth_is_not_read(monkeypatch):
    def fail(*arguments):
        raise AssertionError("depth was read")

    monkeypatch.setattr(MemoryScene, "depth", fail)
    monkeypatch.setattr(MemoryScene, "has_depth", fail)
    for batch in draws(MemoryScene(name="gso/cup"), 3, ModelInputs(False, False, object_ranges=False)):
        assert batch.references.depths is None
        assert batch.references.true_depths is None


def test_with_depth_supervision_both_are_there():
    batch = draws(MemoryScene(name="gso/cup"), 1, ModelInputs(depths=True, sources=True))[0]
    assert (batch.references.true_depths == 3).all()
    assert batch.references.depths.shape == (3, 1, *batch.references.image_size)
    assert batch.sources.views.depths is None


def test_a_batch_moves_as_a_whole():
    batch = draws(WithoutDepth(), 1)[0].to("meta")
    assert batch.sources.views.images.device.type == batch.sources.neighbours.device.type == "meta"
