"""Which views are references, by distance alone or by viewing direction too, and whether they see what a query sees."""

import warnings

import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch, warn_of_blind_references
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.batches.training_views import draw_views
from maskrf_core.datasets.batches.view_choice import shared_sight, viewing_angles
from maskrf_core.datasets.records import DATA_SETS
from maskrf_core.settings.sections import DataSettings
from tests.datasets.memory_scene import MemoryScene
from tests.datasets.rig_scene import LENSES, PlacedScene, rig, ring

UNITS = (1e-3, 1.0, 1e6)


def chosen(scene, image_id, count=8, choice="nearest_looking", candidates=None):
    others = [each for each in candidates or scene.image_ids if each != image_id]
    return SceneViews(scene, view_choice=choice).nearest(image_id, others, count)


def warned(scene, choice, working_views=8, split="test"):
    """Whether the scene's queries of a split have references that share no sight with them."""
    views = SceneViews(scene, view_choice=choice)
    references, queries = scene.split(split)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_blind_references(views, {name: views.camera(name) for name in queries}, references, working_views)
    assert len(caught) <= 1
    return bool(caught)


@pytest.mark.parametrize("lenses", [4, 6, 8, 10])
@pytest.mark.parametrize("radius", [0.0, 0.05])
def test_of_a_rig_nearest_takes_lenses_that_look_away_and_nearest_looking_none(lenses, radius):
    scene = rig(lenses, places=8, radius=radius)
    for image_id in scene.image_ids[::5]:
        assert (scene.degrees(image_id, chosen(scene, image_id, 7, "nearest")) > 89).sum() >= 3
        assert scene.degrees(image_id, chosen(scene, image_id, 7)).max() < 89


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_of_the_scene_does_not_matter(unit):
    scene, same = rig(radius=0.03), rig(radius=0.03, unit=unit)
    for image_id in ("view_0", "view_17"):
        ours, theirs = (set(chosen(each, image_id, 5)) for each in (scene, same))
        assert ours == theirs


def test_the_order_is_that_of_distance_in_depths_plus_tangent():
    """By hand: the harmonic mean of near and far is 2, so a step of 1 weighs as a turn whose tangent is 0.5."""
    centres = [(0, 0, 0), (0.9, 0, 0), (0, 0, 0), (1.1, 0, 0), (0, 0, 0), (5, 0, 0), (1, 0, 0)]
    scene = PlacedScene(centres, [0, 0, np.arctan(0.5), 0, np.radians(91), 0, np.radians(180)], (4 / 3, 4))
    assert chosen(scene, "view_0", 6) == ["view_1", "view_2", "view_3", "view_5", "view_4", "view_6"]
    assert chosen(scene, "view_0", 3, "nearest") == ["view_2", "view_4", "view_1"]


def test_cameras_that_look_one_way_and_those_around_an_object_are_chosen_as_by_distance():
    line, around = MemoryScene(9), ring(15)
    for scene in (line, around):
        for image_id in scene.image_ids:
            assert set(chosen(scene, image_id, 4)) == set(chosen(scene, image_id, 4, "nearest"))


def test_a_few_thousandths_of_a_degree_still_count():
    scene = PlacedScene(np.zeros((4, 3)), np.radians([0, 3e-3, 2e-3, 1e-3]))
    assert chosen(scene, "view_0", 3) == ["view_3", "view_2", "view_1"]


@pytest.mark.parametrize("name", [name for name in DATA_SETS if name != "capture"])
def test_published_layouts_are_chosen_from_as_published(name):
    scene = rig(name=f"{name}/scene")
    by_default, published = (chosen(scene, "view_3", choice=choice) for choice in (None, "nearest"))
    assert by_default == published
    assert chosen(scene, "view_3", choice="nearest_looking") != published


def test_captures_are_chosen_from_by_direction_unless_it_is_asked_for_otherwise():
    scene = rig(name="capture/hall/raw")
    assert chosen(scene, "view_3", choice=None) == chosen(scene, "view_3", choice="nearest_looking")
    assert scene.degrees("view_3", chosen(scene, "view_3", choice="nearest")).max() > 89


def test_training_draws_and_evaluations_follow():
    scene = rig(name="capture/hall/raw")
    settings = DataSettings(working_views=8, view_pool=1.0, query_kept=0.0)
    for choice, looks_away in ((None, False), ("nearest", True)):
        views = SceneViews(scene, view_choice=choice)
        generator = np.random.default_rng(0)
        drawn = [draw_views(views, settings, alone=alone, generator=generator) for alone in 20 * [False, True]]
        assert looks_away == any(scene.degrees(query, others).max() > 89 for query, others in drawn)
        batch = evaluation_batch(views, "view_0", scene.image_ids[1:], 6)
        angles = torch.rad2deg(viewing_angles(batch.query.w2c[0], batch.references.w2c))
        assert looks_away == bool(angles.max() > 89)


def test_neighbours_of_cost_volumes_follow():
    scene = rig()
    for choice, looks_away in (("nearest_looking", False), ("nearest", True)):
        views = SceneViews(scene, view_choice=choice)
        ids = ["view_0", "view_9"]
        references, sources = views.with_sources(views.load(ids), ids, scene.image_ids)
        w2c = torch.cat([references.w2c, sources.views.w2c])
        angles = [viewing_angles(own, w2c[row]) for own, row in zip(references.w2c, sources.neighbours, strict=True)]
        assert looks_away == bool(torch.rad2deg(torch.cat(angles)).max() > 89)


def test_shares_of_sight_by_hand():
    """Of one lens a quarter turned, its picture ±30° wide: (tan 30° + tan 15°) / (2 tan 30°) of the width is seen."""
    aside = np.radians([0, 45, 60.1, 90, 180])
    scene = PlacedScene(np.zeros((5, 3)), aside)
    scene.K = lambda image_id: np.array([[16 / np.tan(np.radians(30)), 0, 15.5], [0, 100, 2], [0, 0, 1]])
    views = SceneViews(scene)
    shares = shared_sight(views.camera("view_0"), views.cameras(scene.image_ids))
    assert shares[0] == 1
    assert shares[1] == pytest.approx(0.5 - np.tan(np.radians(15)) / np.tan(np.radians(30)) / 2, abs=0.08)
    assert shares[2:].tolist() == [0, 0, 0]


def test_sights_meet_between_near_and_far_only():
    """Two cameras side by side, turned towards each other or apart by 90°, and one behind the other's back."""
    centres, headings = [(0, 0, 0), (8, 0, 0), (8, 0, 0), (0, 0, -2)], np.radians([45, -45, 135, 225])
    for far, meets in ((3.0, False), (20.0, True)):
        scene = PlacedScene(centres, headings, (0.5, far))
        views = SceneViews(scene)
        shares = shared_sight(views.camera("view_0"), views.cameras(scene.image_ids[1:]))
        assert (shares > 0).tolist() == [meets, False, False]


@pytest.mark.parametrize("unit", UNITS)
def test_a_warning_tells_where_references_share_no_sight(unit):
    scene = rig(unit=unit)
    assert warned(scene, "nearest")
    assert not warned(scene, "nearest_looking", 4)
    assert warned(scene, "nearest_looking", 40)  # there are not so many that look the same way
    assert warned(scene, "nearest", 8, "train")


@pytest.mark.parametrize("count", [3, 4, 12])
@pytest.mark.parametrize("choice", ["nearest", "nearest_looking"])
def test_views_from_all_sides_of_an_object_share_sight(count, choice):
    """Though they look at it from opposite sides, turned by up to 180°."""
    assert not warned(ring(count), choice, count - 1)


def test_the_warning_names_scene_query_and_a_reference():
    scene = rig(name="capture/hall/raw")
    views = SceneViews(scene, view_choice="nearest")
    with pytest.warns(UserWarning, match=r"capture/hall/raw: 1 of 1 .*view_\d+ of view_0.*data\.view_choice=nearest\."):
        warn_of_blind_references(views, {"view_0": views.camera("view_0")}, scene.image_ids, LENSES - 1)
