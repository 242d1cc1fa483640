"""Checks of a scene: hand-made numbers, and the exact demo scenes."""

import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene
from maskrf_core.workbook.experiments import data_checks


def test_depth_quality_counts_what_is_known():
    truth = np.array([[2.0, 4.0], [5.0, 0.0]], np.float32)
    estimate = np.array([[2.2, 0.0], [5.0, 0.0]], np.float32)
    quality = data_checks.depth_quality({"a": estimate}, {"a": truth}, {"a": truth > 0})
    assert quality.median_error == pytest.approx(0.05)  # of 10 % and 0 %
    assert quality.kept == pytest.approx(2 / 3)
    assert str(quality) == "66.7% of the foreground kept, median error 5.00% of the depth"


def test_depth_quality_without_truth_is_not_a_number():
    mask = np.ones((2, 2), bool)
    quality = data_checks.depth_quality({"a": np.ones((2, 2), np.float32)}, {}, {"a": mask})
    assert np.isnan(quality.median_error)
    assert str(quality) == "100.0% of the foreground kept, the truth is not known"


def test_a_view_carried_into_itself_stays_as_it_is():
    scene = open_scene("demo/train_00")
    name = scene.image_ids[0]
    carried = data_checks.carry_colours(scene, name, name, {name: scene.depth(name)})
    mask = scene.mask(name)
    assert carried.visible.sum() == mask.sum()
    np.testing.assert_allclose(carried.colours[mask], scene.image(name)[mask] / 255, atol=2e-3)


def test_colours_fit_through_true_cameras_and_not_through_wrong_ones():
    scene = open_scene("demo/train_00")
    here = scene.image_ids[0]
    there = data_checks.nearest_views(scene, here, scene.image_ids)[0]
    assert there != here
    depths = {name: scene.depth(name) for name in (here, there)}
    carried = data_checks.carry_colours(scene, here, there, depths)
    through, unmoved = data_checks.colour_differences(scene, here, there, carried)
    assert through < 0.5 * unmoved
    wrong = {here: np.where(depths[here] > 0, depths[here].max() + 0.5, 0).astype(np.float32), there: depths[there]}
    seen = data_checks.carry_colours(scene, here, there, wrong).visible.sum()
    assert seen < 0.2 * carried.visible.sum()


def test_stacked_cameras_and_sheet():
    scene = open_scene("demo/test_00")
    stacked = data_checks.stacked_cameras(scene, scene.image_ids[:3])
    np.testing.assert_array_equal(stacked.w2c[2], scene.w2c(scene.image_ids[2]))
    assert stacked.size == scene.image(scene.image_ids[0]).shape[:2]
    sheet = data_checks.first_photographs(["demo/validation"])
    assert list(sheet) == ["demo/validation_00", "demo/validation_01"]
