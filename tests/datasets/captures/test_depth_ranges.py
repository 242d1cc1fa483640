import numpy as np
import pytest

from maskrf_core.datasets.captures.depth_ranges import depths_in, range_from_depths, ranges_from_sweep, wide_ranges
from tests.datasets.traced_scene import TracedScene, dome_camera


def test_wide_ranges_are_about_the_point_that_all_cameras_look_at():
    """The dome's cameras look at the origin from 3.3 away."""
    for near, far in wide_ranges(np.stack([dome_camera(index, 8) for index in range(8)])):
        assert near == pytest.approx(3.3 / 5)
        assert far == pytest.approx(3.3 * 5)


@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_wide_ranges_of_parallel_cameras_come_from_their_distances(spread: float):
    """Cameras side by side, 2 apart in all, looking ahead, exactly or nearly."""
    w2c = np.tile(np.eye(4)[:3], (5, 1, 1))
    for index, angle in enumerate(np.linspace(-spread, spread, 5)):
        w2c[index, :, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        w2c[index, :, 3] = -w2c[index, :, :3] @ [index / 2, 0, 0]
    np.testing.assert_allclose(wide_ranges(w2c), [[8 / 25, 8 * 5]] * 5)


def test_range_from_depths_by_hand():
    assert range_from_depths(np.arange(1.0, 102.0)) == (pytest.approx(3 * 0.8), pytest.approx(99 * 1.2))
    np.testing.assert_array_equal(depths_in(np.eye(4)[:3] + np.array([0, 0, 0, 2.0]), np.array([[0, 0, 3.0]])), [5.0])


def test_a_sweep_finds_the_range_of_a_traced_scene(monkeypatch: pytest.MonkeyPatch):
    """The true range and some margin, far narrower than the guess of 0.66 to 16.5. Farther off there is only black,
    whose depth nobody knows."""
    scene = TracedScene(size=64, views=10)
    wide = wide_ranges(np.stack([scene.w2c(image_id) for image_id in scene.image_ids]))
    monkeypatch.setattr(scene, "mask", lambda image_id: np.ones((64, 64), bool), raising=False)
    ranges = dict(zip(scene.image_ids, wide, strict=True))
    monkeypatch.setattr(scene, "depth_range", ranges.get)
    truth = {i: scene.truth(i)[TracedScene(size=64, views=10).mask(i)] for i in scene.image_ids}
    for image_id, (near, far) in zip(scene.image_ids, ranges_from_sweep(scene, (64, 64)), strict=True):
        true = np.percentile(truth[image_id], [2, 98])
        assert 0.6 * true[0] < near < true[0]
        assert true[1] < far < 2 * true[1]
