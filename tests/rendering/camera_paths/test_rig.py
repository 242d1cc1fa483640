"""What cameras have in common: their middle, their axis, their up, and what they look at."""

import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene
from maskrf_core.rendering.camera_paths.rig import common_target, mean_axis, rig_of, up_axis
from maskrf_core.support.errors import DatasetError
from tests.datasets.memory_scene import MemoryScene
from tests.rendering.camera_paths.rigs import Z, rig_at, ring, wall


def test_rig_of_a_scene_reads_one_image():
    scene = MemoryScene(count=5, height=20, width=30)
    rig = rig_of(scene, ["view_1", "view_2", "view_4"])
    np.testing.assert_allclose(rig.centres, [[1, 0, 0], [2, 0, 0], [4, 0, 0]])
    np.testing.assert_allclose(rig.forwards, [[0, 0, 1]] * 3)
    np.testing.assert_allclose(rig.ups, [[0, -1, 0]] * 3)
    np.testing.assert_allclose(rig.depth_range[:, 1], [5, 6, 8])
    assert (rig.size, rig.middle, scene.reads) == ((20, 30), 1, ["view_2"])


def test_a_scene_without_views_is_named():
    with pytest.raises(DatasetError, match="memory: a camera path needs at least one reference view"):
        rig_of(MemoryScene(), [])


def test_target_is_where_all_axes_meet():
    np.testing.assert_allclose(common_target(ring()), [0.5, -0.25, 0.3], atol=1e-9)


def test_target_of_two_skew_axes_is_between_them():
    rig = rig_at([[-1, 0, 0], [0, -1, 1]], [[1, 0, 0], [0, 1, 0]])  # lines through z = 0 along x and z = 1 along y
    np.testing.assert_allclose(common_target(rig), [0, 0, 0.5], atol=1e-12)


def test_target_of_noisy_axes_has_the_smallest_sum_of_squared_distances():
    rng = np.random.default_rng(0)
    rig = ring(9)
    rig = rig_at(rig.centres, rig.forwards + 0.05 * rng.normal(size=(9, 3)))
    target = common_target(rig)

    def cost(point):
        return (np.linalg.norm(np.cross(point - rig.centres, rig.forwards), axis=1) ** 2).sum()

    assert all(cost(target) < cost(target + 0.01 * step) for step in [*np.eye(3), *-np.eye(3)])


@pytest.mark.parametrize("rig", [wall(), rig_at([[0, 0, 0]], [1, 0, 0]), rig_at([[0, 0, 0]] * 3, [1, 0, 0])])
def test_parallel_axes_have_no_target(rig):
    with pytest.raises(DatasetError, match=r"made/up: the optical axes .* are parallel.*spiral or circle"):
        common_target(rig)


def test_cameras_that_look_outwards_have_no_target():
    inward = ring()
    with pytest.raises(DatasetError, match=r"made/up: its cameras do not look at one object .* 12 of 12.*interpolate"):
        common_target(rig_at(inward.centres, -inward.forwards))


def test_up_is_what_the_cameras_hold_level_not_the_mean_of_their_ups():
    rig = ring(6, height=4.0, arc=np.radians(120))  # all on one side, looking down steeply
    np.testing.assert_allclose(up_axis(rig), Z, atol=1e-9)
    assert mean_axis(rig.ups) @ Z < 0.9


def test_up_of_cameras_that_stand_on_their_heads():
    rig = ring()
    np.testing.assert_allclose(up_axis(rig_at(rig.centres, rig.forwards, [-Z] * 12)), -Z, atol=1e-9)


def test_up_of_cameras_that_look_one_way_is_theirs():
    np.testing.assert_allclose(up_axis(wall()), Z, atol=1e-12)


def test_up_does_not_follow_rolled_cameras_out_of_the_scene():
    rng = np.random.default_rng(1)
    rig = ring(40)
    rolled = rig_at(rig.centres, rig.forwards, list(Z + 0.3 * rng.normal(size=(40, 3))))
    assert up_axis(rolled) @ Z > 0.98


def test_middle_view_is_nearest_to_the_mean_the_first_of_equals():
    assert wall(4, 1, step=1.0).middle == 1


def test_demo_scenes_are_looked_at_in_their_middle():
    scene = open_scene("demo/test_00")
    rig = rig_of(scene, scene.split("test")[0])
    assert np.linalg.norm(common_target(rig)[:2]) < 0.1  # the world's z axis goes through the scene
    assert up_axis(rig) @ Z > 0.99
