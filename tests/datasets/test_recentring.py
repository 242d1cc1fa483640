"""Worlds far from their origin: what is moved, by how much, and that nothing else is."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from maskrf_core.datasets.recentring import moved_world, recentring_shift


def cameras(centres: np.ndarray) -> np.ndarray:
    turns = Rotation.random(len(centres), random_state=0).as_matrix()
    return np.concatenate([turns, -turns @ centres[..., None]], axis=-1)


def centres_of(w2c: np.ndarray) -> np.ndarray:
    return -np.einsum("vji,vj->vi", w2c[:, :, :3], w2c[:, :, 3])


SPREAD = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0]])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("origin", [[5e5, 4.4e6, 120.0], [4e6, 7e5, 4.9e6], [0.0, 0.0, -1e8]])
def test_a_far_world_is_moved_to_its_cameras(scale: float, origin: list[float]):
    far = np.array(origin) * max(1.0, scale / 1e2)
    w2c = cameras(far + scale * SPREAD)
    shift = recentring_shift(w2c)
    moved = moved_world(w2c, shift)
    precision = 1e-15 * np.abs(far).max()  # of float64
    np.testing.assert_allclose(centres_of(moved), scale * SPREAD + far - shift, atol=8 * precision)
    assert np.linalg.norm(centres_of(moved), axis=1).max() < 3 * scale + 8 * precision
    np.testing.assert_array_equal(moved[:, :, :3], w2c[:, :, :3])


@pytest.mark.parametrize("origin", [0.0, 3.0, 50.0])
def test_a_near_world_keeps_its_numbers(origin: float):
    w2c = cameras(origin + SPREAD)
    assert not recentring_shift(w2c).any()
    np.testing.assert_array_equal(moved_world(w2c, np.zeros(3)), w2c)


def test_one_camera_that_is_lost_at_the_origin_is_no_measure():
    centres = np.concatenate([SPREAD + 4e6, np.zeros((1, 3))])
    assert np.linalg.norm(recentring_shift(cameras(centres)) - 4e6) < 3


def test_cameras_of_one_place_are_moved_there():
    np.testing.assert_allclose(recentring_shift(cameras(np.full((4, 3), 4e6))), 4e6)
