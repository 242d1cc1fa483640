"""Which path fits which cameras, and what its query cameras are."""

import numpy as np
import pytest
from hypothesis import given, settings

from maskrf_core.datasets.scene import open_scene
from maskrf_core.rendering.camera_paths.path import camera_path, fitting_kind
from maskrf_core.rendering.camera_paths.rig import depth_range_at, rig_of
from maskrf_core.rendering.camera_paths.trajectories import focus_depth
from maskrf_core.settings.sections import PathSettings
from maskrf_core.support.errors import DatasetError, SettingsError
from tests.rendering.camera_paths.rigs import RIGS, K, random_rig, rig_at, ring, wall


@pytest.mark.parametrize(
    ("rig", "kind"),
    [
        (wall(), "spiral"),
        (wall(1, 1), "spiral"),
        (rig_at([[0, 0, 0]] * 4, [0, 1, 0]), "spiral"),
        (ring(), "orbit"),
        (ring(5, arc=np.radians(120)), "orbit"),
        (ring(5, arc=np.radians(40)), "spiral"),
        (rig_at(ring().centres, -ring().forwards), "interpolate"),
    ],
)
def test_auto_follows_the_cameras(rig, kind):
    assert fitting_kind(rig) == kind
    assert camera_path(rig, PathSettings(frames=9)).kind == kind


@pytest.mark.parametrize("name", ["demo/test_00", "demo/test_03", "demo/validation_01"])
def test_demo_scenes_are_orbited(name):
    scene = open_scene(name)
    rig = rig_of(scene, scene.split("test")[0])
    film = camera_path(rig, PathSettings(frames=6))
    assert film.kind == "orbit"
    assert all(camera.size == (96, 96) for camera in film.cameras)


@pytest.mark.parametrize(("name", "kind"), [("nerf_llff/fern/8", "spiral"), ("nerf_synthetic/lego/black_400", "orbit")])
def test_real_scenes_get_the_path_that_people_know_them_by(shared, name, kind):
    scene = open_scene(name, shared / "scenes")
    rig = rig_of(scene, scene.split("test")[0])
    assert fitting_kind(rig) == kind


def test_the_focus_projects_to_the_principal_point():
    rig = wall()
    focus = np.append(rig.centres.mean(axis=0) + focus_depth(rig, 0.75) * np.array([0, 1, 0]), 1)
    for camera in camera_path(rig, PathSettings(kind="spiral", frames=7, largest_side=32)).cameras:
        x, y, z = camera.K @ camera.w2c @ focus
        np.testing.assert_allclose([x / z, y / z], camera.K[:2, 2], atol=1e-9)


def test_intrinsics_shrink_with_the_picture():
    rig = wall()
    (camera, *_) = camera_path(rig, PathSettings(largest_side=32)).cameras
    assert camera.size == (21, 32)
    np.testing.assert_allclose(camera.K, np.diag([0.5, 0.5, 1]) @ K)
    for side in (None, 64, 500):  # never enlarged
        (camera, *_) = camera_path(rig, PathSettings(largest_side=side)).cameras
        assert camera.size == (42, 64)
        np.testing.assert_array_equal(camera.K, K)


def test_intrinsics_are_the_middle_views():
    rig = wall(3, 1)
    rig.K[1] = np.diag([2.0, 2, 1]) @ K
    np.testing.assert_array_equal(camera_path(rig, PathSettings()).cameras[0].K, rig.K[1])


def test_depth_ranges_are_the_neighbours():
    rig = wall()
    rig.depth_range[:, 1] = np.arange(15) + 5
    for camera in camera_path(rig, PathSettings(frames=5)).cameras:
        assert camera.depth_range == depth_range_at(rig, camera.w2c)


def test_none_is_no_path():
    with pytest.raises(SettingsError, match="no path is asked for"):
        camera_path(wall(), PathSettings(kind="none"))


@settings(max_examples=80, deadline=None)
@given(case=RIGS)
def test_auto_finds_a_path_for_any_cameras(case):
    try:
        film = camera_path(random_rig(*case), PathSettings(frames=12))
    except DatasetError as error:
        pytest.fail(str(error))
    assert len(film.cameras) == 12
    assert film.kind in ("spiral", "orbit", "interpolate")
    for camera in film.cameras:
        near, far = camera.depth_range
        assert 0 < near < far
        assert np.isfinite(camera.w2c).all()
