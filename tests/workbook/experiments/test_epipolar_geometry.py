"""Epipolar geometry by hand, and features of real scenes under true and wrong cameras."""

import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import DatasetError
from maskrf_core.workbook.experiments import epipolar_geometry as epipolar
from tests.datasets.memory_scene import MemoryScene

GL = np.diag([1.0, -1, -1])


class Changed:
    """A scene of which one thing is different."""

    def __init__(self, scene, **changed):
        self.__dict__.update(scene=scene, **changed)

    def __getattr__(self, name):
        return getattr(self.scene, name)


def test_segment_by_hand():
    # Cameras side by side, focal length 40, principal point (24, 16), one unit apart: disparity 40 / z to the left.
    segment = epipolar.epipolar_segment(MemoryScene(), "view_0", "view_1", (30.0, 12.0), np.array([2.0, 4, 10]))
    np.testing.assert_allclose(segment.pixels_xy, [[10, 12], [20, 12], [26, 12]])
    assert segment.is_in_front.all()


def test_points_behind_the_other_camera_have_no_pixel():
    facing = Changed(
        MemoryScene(), w2c=lambda name: np.c_[np.diag([-1.0, 1, -1]) if name == "b" else np.eye(3), [0, 0, 3.0]]
    )
    segment = epipolar.epipolar_segment(facing, "a", "b", (24.0, 16.0), np.array([1.0, 20.0]))
    # Both camera centres and the depths lie on the z axis: a at -3, b at 3 looking back; a depth of 20 is behind b.
    assert segment.is_in_front.tolist() == [True, False]
    np.testing.assert_allclose(segment.pixels_xy[0], [24, 16])
    assert np.isnan(segment.pixels_xy[1]).all()


def test_points_of_one_ray_are_on_the_line_and_shifted_ones_as_far_off_as_shifted():
    scene = open_scene("demo/train_00")
    here, there = scene.image_ids[0], scene.image_ids[3]
    depths = np.array([2.5, 3.0, 4.0])
    xy = np.array([40.0, 55.0])
    segment = epipolar.epipolar_segment(scene, here, there, (40.0, 55.0), depths)
    F = epipolar.fundamental_matrix(scene, here, there)
    same = np.tile(xy, (3, 1))
    np.testing.assert_allclose(epipolar.line_distances(F, same, segment.pixels_xy), 0, atol=1e-8)
    along = segment.pixels_xy[2] - segment.pixels_xy[0]
    across = np.array([-along[1], along[0]]) / np.hypot(*along)
    distances = epipolar.line_distances(F, same, segment.pixels_xy + 3 * across)
    assert (distances >= 3 - 1e-8).all()  # the larger of both directions


@pytest.mark.parametrize("name", ["demo/train_04", "demo/train_06", "demo/test_00"])
def test_true_cameras_fit_and_wrong_ones_do_not(name):
    scene = open_scene(name)
    ids = scene.split("test")[0]
    errors = epipolar.epipolar_errors(scene, ids)
    assert errors.fit is True
    assert errors.chance > 10
    poses = {
        "axes": lambda image_id: GL @ scene.w2c(image_id),
        "inverted": lambda i: np.c_[scene.w2c(i)[:, :3].T, -scene.w2c(i)[:, :3].T @ scene.w2c(i)[:, 3]],
        "order": lambda image_id: scene.w2c(scene.image_ids[(scene.image_ids.index(image_id) + 1) % 20]),
    }
    for wrong in poses.values():
        assert epipolar.epipolar_errors(Changed(scene, w2c=wrong), ids).fit is False


def test_too_few_matches_are_said_to_be():
    blank = Changed(MemoryScene(), image=lambda image_id: np.full((32, 48, 3), 90, np.uint8))
    errors = epipolar.epipolar_errors(blank, blank.image_ids)
    assert errors.fit is None
    assert np.isnan(errors.median)
    assert str(errors).startswith("too few matches to tell: 0 in ")


def test_a_match_at_the_true_place_has_no_error_though_features_are_sought_enlarged():
    # Shifted noise: a feature at x is at x - 8 in the next view, as a plane at depth 5 would be (disparity 40 / 5).
    noise = np.random.default_rng(0).integers(0, 256, (24, 60, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    scene = Changed(MemoryScene(2, 96, 160), image=lambda name: noise[:, 8 * int(name[-1]) :][:, :160])
    features = [epipolar._features(scene, name) for name in scene.image_ids]
    here, there = epipolar._matched(*features)
    assert len(here) > 20
    np.testing.assert_allclose(np.median(here - there, axis=0), [8, 0], atol=0.1)


def test_the_corner_is_on_the_foreground_and_a_given_point_in_the_image():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, 10:20] = 255
    image[25:35, 40:55] = 255
    mask = np.zeros((40, 60), bool)
    mask[:, 30:] = True
    x, y = epipolar.strong_corner(image, mask)
    assert min(abs(x - 40), abs(x - 54)) <= 1
    assert min(abs(y - 25), abs(y - 34)) <= 1
    assert epipolar.strong_corner(np.zeros_like(image), mask) == (44.5, 19.5)
    scene = MemoryScene()
    assert epipolar.point_of("3, 4.5", scene, "view_0") == (3, 4.5)
    with pytest.raises(DatasetError, match="view_0 is 48×32 pixels"):
        epipolar.point_of("48, 3", scene, "view_0")
