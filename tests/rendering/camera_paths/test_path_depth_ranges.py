"""Depth ranges of cameras that took no photograph."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrf_core.rendering.camera_paths.rig import depth_range_at, neighbour_weights
from tests.rendering.camera_paths.rigs import RIGS, pose, random_rig, rig_at, ring, wall


def test_at_a_camera_it_is_that_cameras():
    rig = wall()
    rig.depth_range[:] = np.stack([1 + np.arange(15) / 10, 5 + np.arange(15)], axis=1)
    for index in range(15):
        assert depth_range_at(rig, rig.w2c[index]) == pytest.approx(tuple(rig.depth_range[index]))


def test_one_camera_lends_its_range_to_all():
    rig = rig_at([[0, 0, 0]], [0, 1, 0])
    assert depth_range_at(rig, pose([0.3, 0, 0.1], [0, 1, 0])) == pytest.approx((2, 6))


def test_two_cameras_lend_theirs_by_distance():
    rig = rig_at([[0, 0, 0], [3, 0, 0]], [0, 1, 0], ranges=[(1, 10), (2, 20)])
    # Weights 1/d²: 1 and 1/4, so four fifths and one fifth.
    assert depth_range_at(rig, pose([1, 0, 0], [0, 1, 0])) == pytest.approx((1.2, 12))


@pytest.mark.parametrize(("step", "expected"), [(0.5, (1.5, 5.5)), (-0.5, (2.5, 6.5)), (1.5, (1.0, 5.0))])
def test_a_step_forward_brings_the_scene_nearer_down_to_half_of_near(step, expected):
    assert depth_range_at(rig_at([[0, 0, 0]], [0, 1, 0]), pose([0, step, 0], [0, 1, 0])) == pytest.approx(expected)


def test_around_an_object_the_range_stays_around_it():
    rig = ring(12, radius=4, height=0, target=(0, 0, 0))
    rig.depth_range[:] = (3, 5)
    for angle in np.radians([5, 15, 25]):
        at = 4 * np.array([np.cos(angle), np.sin(angle), 0])
        near, far = depth_range_at(rig, pose(at, -at))
        assert near == pytest.approx(3, abs=0.03)
        assert far == pytest.approx(5, abs=0.03)


def test_a_camera_that_looks_the_other_way_shifts_nothing():
    rig = rig_at([[0, 0, 0]], [0, 1, 0])
    assert depth_range_at(rig, pose([0, 1, 0], [0, -1, 0])) == pytest.approx((2, 6))


def test_only_neighbours_count_and_weights_fade_before_they_change():
    weights = neighbour_weights(np.array([1.0, 1.1, 1.2, 1.3, 1.3 + 1e-6, 9]))
    assert weights.sum() == pytest.approx(1)
    assert weights[4:].tolist() == [0, 0]
    assert weights[3] < 1e-9
    assert (np.diff(weights) <= 0).all()


@pytest.mark.parametrize(
    ("distances", "expected"),
    [
        ([0, 1, 2], [1, 0, 0]),
        ([0, 0, 2], [0.5, 0.5, 0]),
        ([0, 0], [0.5, 0.5]),
        ([1] * 6, [1 / 6] * 6),
        ([3], [1]),
    ],
)
def test_weights_of_equals(distances, expected):
    np.testing.assert_allclose(neighbour_weights(np.array(distances, float)), expected)


@settings(max_examples=100, deadline=None)
@given(case=RIGS, seed=st.integers(0, 2**32 - 1))
def test_any_camera_gets_a_sane_range(case, seed):
    rig = random_rig(*case)
    rng = np.random.default_rng(seed)
    at = rig.centres[0] + rng.normal(size=3) * rng.choice([0, 1e-6, 1.0])
    near, far = depth_range_at(rig, pose(at, rng.normal(size=3)))
    assert 0 < near < far < np.inf
    assert near >= 0.5 * rig.depth_range[:, 0].min() - 1e-9
    lengths = np.diff(rig.depth_range, axis=1)
    assert lengths.min() - 1e-9 <= far - near <= lengths.max() + 1e-9
