"""Cameras of a window are the scene's: OpenCV axes, quaternions that begin with w, one unit, up where up is."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from maskrf_core.rendering.camera_paths.rig import CameraRig, up_axis
from maskrf_core.rendering.camera_paths.trajectories import look_at
from maskrf_core.rendering.viewer.walking import Walk

SIZE, COUNT, HEIGHT = (60, 80), 9, 60
UP = np.array([0.2, 0.5, -0.8]) / np.linalg.norm([0.2, 0.5, -0.8])


def rig_around(unit=1.0, roll=0.0, turn=None):
    """Cameras in a ring around the origin of a tilted world, that look down at it."""
    east = np.cross(UP, [1.0, 0, 0]) / np.linalg.norm(np.cross(UP, [1.0, 0, 0]))
    angles = np.linspace(0, 4, COUNT)[:, None]
    ring = 3 * (np.cos(angles) * east + np.sin(angles) * np.cross(UP, east)) + 1.5 * UP
    rolled = np.diag([1.0, 1, 1]) if roll == 0 else Rotation.from_euler("z", roll).as_matrix()
    w2c = np.stack([rolled @ look_at(place, np.zeros(3), UP) for place in ring])
    if turn is not None:
        w2c[..., :3] = w2c[..., :3] @ turn.T
    w2c[..., 3] *= unit
    K = np.array([[90.0, 0, (SIZE[1] - 1) / 2], [0, 90, (SIZE[0] - 1) / 2], [0, 0, 1]])
    ranges = np.tile([2.0 * unit, 6.0 * unit], (COUNT, 1))
    return CameraRig("ring", [f"view {i}" for i in range(COUNT)], np.tile(K, (COUNT, 1, 1)), w2c, ranges, SIZE)


def walk_of(rig):
    return Walk.through(rig, [HEIGHT] * COUNT)


@pytest.mark.parametrize("roll", [0, 0.3, np.pi / 2, np.pi])
@pytest.mark.parametrize("unit", [0.01, 1.0, 700.0])
def test_a_reference_view_there_and_back(unit, roll):
    rig = rig_around(unit, roll)
    walk = walk_of(rig)
    for index, name in enumerate(rig.image_ids):
        pose = walk.poses[name]
        camera = walk.camera_at(pose.wxyz, pose.position, pose.fov, SIZE)
        np.testing.assert_allclose(camera.K, rig.K[index], atol=1e-9)
        np.testing.assert_allclose(camera.w2c, rig.w2c[index], atol=1e-9 * unit)
        np.testing.assert_allclose(camera.depth_range, rig.depth_range[index])
        assert camera.size == SIZE


def test_axes_are_those_of_opencv():
    rig = rig_around()
    half = np.sqrt(0.5)
    # A quarter turn about x takes z, which looks, to -y, and y, which is down in the image, to z.
    camera = walk_of(rig).camera_at(np.array([half, half, 0, 0]), np.zeros(3), 1.0, SIZE)
    np.testing.assert_allclose(camera.w2c[:, :3], [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-12)
    assert camera.K[1, 1] == pytest.approx(HEIGHT / 2 / np.tan(0.5))
    assert camera.K[0, 2] == (SIZE[1] - 1) / 2


def test_a_window_is_the_same_in_any_unit():
    small, large = walk_of(rig_around(0.01)), walk_of(rig_around(700.0))
    assert small.pyramid_size == pytest.approx(large.pyramid_size)
    for name, pose in small.poses.items():
        for ours, other in zip(pose, large.poses[name], strict=True):
            np.testing.assert_allclose(ours, other, atol=1e-9)


def test_what_is_looked_at_is_about_one_unit_away():
    for pose in walk_of(rig_around(50.0)).poses.values():
        assert np.linalg.norm(pose.look_at - pose.position) == pytest.approx(1)


@pytest.mark.parametrize("seed", [0, 1])
def test_up_turns_with_the_world(seed):
    turn = Rotation.random(rng=seed).as_matrix()
    rig = rig_around(turn=turn)
    np.testing.assert_allclose(walk_of(rig).up, turn @ UP, atol=1e-9)
    np.testing.assert_allclose(walk_of(rig).up, up_axis(rig))


@pytest.mark.parametrize("roll", [0, 0.3, np.pi / 2, np.pi])
def test_up_and_the_viewing_direction_say_how_a_camera_is_rolled(roll):
    """A window makes its orientation of these two."""
    rig = rig_around(roll=roll)
    for pose in walk_of(rig).poses.values():
        w2c = look_at(pose.position, pose.look_at, pose.up)
        expected = Rotation.from_quat(pose.wxyz, scalar_first=True).as_matrix().T
        np.testing.assert_allclose(w2c[:, :3], expected, atol=1e-9)
