"""Spiral, circle and orbit against their closed forms, and on rigs that have none."""

import numpy as np
import pytest
from hypothesis import given, settings

from maskrf_core.rendering.camera_paths.trajectories import circle, focus_depth, look_at, orbit, spiral
from maskrf_core.settings.sections import PathSettings
from maskrf_core.support.errors import DatasetError
from tests.rendering.camera_paths.rigs import RIGS, Z, assert_proper, centres_of, random_rig, rig_at, ring, wall

EIGHT = PathSettings(frames=8)


def in_camera(w2c, point):
    return w2c[:, :, :3] @ point + w2c[:, :, 3]


def assert_looks_at(w2c, point):
    seen = in_camera(w2c, point)
    np.testing.assert_allclose(seen[:, :2], 0, atol=1e-9 * np.abs(seen[:, 2]).max())
    assert (seen[:, 2] > 0).all()


def test_look_at_by_hand():
    w2c = look_at(np.array([0.0, -2, 0]), np.zeros(3), Z)  # along +y: x to the right, z upwards, so -z is down
    np.testing.assert_allclose(w2c, [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 2]], atol=1e-12)


def test_focus_is_between_near_and_far_in_inverse_depth():
    rig = rig_at(np.zeros((3, 3)), [0, 1, 0], ranges=[(1, 8), (2, 6), (3, 4)])
    assert focus_depth(rig, 0.0) == pytest.approx(2)
    assert focus_depth(rig, 1.0) == pytest.approx(6)
    assert 1 / focus_depth(rig, 0.75) == pytest.approx(0.25 / 2 + 0.75 / 6)


def test_circle_is_a_circle_about_the_mean_that_looks_at_the_focus():
    rig = wall(5, 5, 0.1)
    w2c = circle(rig, PathSettings(frames=12))
    mean, focus = np.array([0.2, 0, 0.2]), np.array([0.2, focus_depth(rig, 0.75), 0.2])
    angle = 2 * np.pi * np.arange(12) / 12
    # Offsets of five columns are 0, 0.1 and 0.2; nine tenths stay within 0.2. So do those of five rows.
    expected = mean + 0.2 * np.stack([np.cos(angle), np.zeros(12), np.sin(angle)], axis=1)
    np.testing.assert_allclose(centres_of(w2c), expected, atol=1e-9)
    assert_looks_at(w2c, focus)
    assert_proper(w2c)


def test_spiral_goes_around_twice_and_forward_once():
    rig = wall(5, 3, 0.1)
    depths = rig.centres + np.array([0, 1, 0]) * np.linspace(-0.1, 0.1, 15)[:, None]
    rig = rig_at(depths, [0, 1, 0])
    w2c = spiral(rig, PathSettings(frames=40, radius_scale=1.5))
    s = 2 * np.pi * np.arange(40) / 40
    forward = np.quantile(np.abs(np.linspace(-0.1, 0.1, 15)), 0.9)
    radii = np.array([0.2, forward, 0.1])
    offsets = np.stack([np.cos(2 * s), np.sin(s), np.sin(2 * s)], axis=1) * radii * 1.5
    np.testing.assert_allclose(centres_of(w2c), rig.centres.mean(axis=0) + offsets, atol=1e-9)
    assert_looks_at(w2c, rig.centres.mean(axis=0) + focus_depth(rig, 0.75) * np.array([0, 1, 0]))
    assert (w2c[:, 1, 2] < -0.9).all()  # the world's z stays up in every picture


def test_turns_are_obeyed():
    once, thrice = (circle(wall(), PathSettings(frames=9, turns=turns)) for turns in (1, 3))
    np.testing.assert_allclose(thrice, once[np.arange(9) * 3 % 9], atol=1e-9)


def test_a_spiral_never_reaches_what_it_looks_at():
    rig = rig_at(np.linspace(-50, 50, 11)[:, None] * np.array([0, 1.0, 0]), [0, 1, 0])
    w2c = spiral(rig, EIGHT)
    assert in_camera(w2c, np.array([0, focus_depth(rig, 0.75), 0]))[:, 2].min() >= 0.5 * focus_depth(rig, 0.75) - 1e-9


@pytest.mark.parametrize("path", [spiral, circle])
@pytest.mark.parametrize("count", [1, 3])
def test_cameras_in_one_place_give_a_small_path_around_it(path, count):
    rig = rig_at([[1.0, 2, 3]] * count, [0, 1, 0])
    offsets = centres_of(path(rig, EIGHT)) - [1, 2, 3]
    np.testing.assert_allclose(np.linalg.norm(offsets, axis=1), 0.05 * focus_depth(rig, 0.75), rtol=1e-9)


def test_collinear_cameras_give_a_path_along_their_line():
    rig = rig_at(np.linspace(-1, 1, 5)[:, None] * np.array([1.0, 0, 0]), [0, 1, 0])
    centres = centres_of(spiral(rig, EIGHT))
    np.testing.assert_allclose(centres[:, 1:], 0, atol=1e-12)
    assert np.ptp(centres[:, 0]) > 1


def test_orbit_keeps_distance_and_height_and_looks_at_the_object():
    rig = ring(12, radius=4, height=1)
    w2c = orbit(rig, PathSettings(frames=24))
    offsets = centres_of(w2c) - [0.5, -0.25, 0.3]
    np.testing.assert_allclose(offsets[:, 2], 1, atol=1e-9)
    angle = 2 * np.pi * np.arange(24) / 24
    np.testing.assert_allclose(offsets[:, :2], 4 * np.stack([np.cos(angle), np.sin(angle)], axis=1), atol=1e-9)
    assert_looks_at(w2c, np.array([0.5, -0.25, 0.3]))
    np.testing.assert_allclose(w2c[::2], rig.w2c, atol=1e-9)  # every other frame is a camera of the ring
    assert_proper(w2c)


def test_orbit_comes_nearer_on_the_same_elevation():
    w2c = orbit(ring(), PathSettings(frames=6, radius_scale=0.5))
    offsets = centres_of(w2c) - [0.5, -0.25, 0.3]
    np.testing.assert_allclose(np.linalg.norm(offsets, axis=1), 0.5 * np.hypot(4, 1))
    np.testing.assert_allclose(offsets[:, 2], 0.5, atol=1e-9)


@pytest.mark.parametrize("start", [0.0, 2.0, 5.0])
def test_orbit_over_an_arc_swings_within_it_and_back(start):
    rig = ring(7, arc=np.radians(150), start=start)
    w2c = orbit(rig, PathSettings(frames=16))
    offsets = centres_of(w2c) - [0.5, -0.25, 0.3]
    from_middle = np.angle(np.exp(1j * (np.arctan2(offsets[:, 1], offsets[:, 0]) - start - np.radians(75))))
    np.testing.assert_allclose(from_middle, np.radians(75) * np.sin(2 * np.pi * np.arange(16) / 16), atol=1e-9)


def test_cameras_above_each_other_give_a_narrow_orbit():
    centres = np.array([[4.0, 0, height] for height in (0, 1, 2, 3)])
    w2c = orbit(rig_at(centres, -centres), PathSettings(frames=16))
    azimuths = np.arctan2(*centres_of(w2c).T[[1, 0]])
    assert np.abs(azimuths).max() == pytest.approx(np.radians(10), rel=0.1)  # about an up that leans a little
    assert_proper(w2c)


def test_cameras_straight_above_still_have_an_orbit():
    rng = np.random.default_rng(0)
    centres = np.array([0, 0, 4.0]) + 0.4 * rng.normal(size=(8, 3))
    w2c = orbit(rig_at(centres, -centres, [np.array([0, 1.0, 0])] * 8), EIGHT)
    assert_proper(w2c)


def test_cameras_that_look_everywhere_have_no_spiral():
    with pytest.raises(DatasetError, match=r"made/up: .*look in all directions.*orbit or interpolate"):
        spiral(rig_at(np.zeros((4, 3)), [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]), EIGHT)


@pytest.mark.parametrize("path", [spiral, circle, orbit])
@settings(max_examples=60, deadline=None)
@given(case=RIGS)
def test_any_rig_gives_proper_cameras_or_says_why_not(path, case):
    w2c, said = None, "made/up: Use the path"
    try:
        w2c = path(random_rig(*case), PathSettings(frames=12))
    except DatasetError as error:
        said = str(error)
    assert "made/up" in said
    assert "Use the path" in said
    if w2c is None:
        return
    assert_proper(w2c)
    centres = centres_of(w2c)
    steps = np.linalg.norm(np.diff(centres, axis=0, append=centres[:1]), axis=1)
    np.testing.assert_allclose(steps[-1], steps[0], rtol=1e-6, atol=1e-9)  # it closes as it begins: all are symmetric
