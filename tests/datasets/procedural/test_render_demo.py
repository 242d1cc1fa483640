"""The script that made the demo scenes still makes them, and mitsuba's cameras and ours agree."""

import sys

import numpy as np
import pytest

from maskrf_core.datasets import demo
from maskrf_core.datasets.procedural import render_demo
from maskrf_core.datasets.procedural.render_demo import load_mitsuba, make_sensor
from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import MaskrfError


@pytest.fixture(scope="module")
def mitsuba():
    pytest.importorskip("mitsuba", reason="mitsuba (extra `demo`) is not installed")
    return load_mitsuba()


@pytest.fixture(scope="module")
def staged(mitsuba):
    return render_demo.stage_scene("test_00")


@pytest.mark.long
def test_one_view_comes_out_the_same_again(staged):
    scene = open_scene("demo/test_00")
    image, depth, mask = render_demo.photograph(staged, view=7)
    shipped = scene.image("view_07").astype(int)
    assert np.abs(image.astype(int) - shipped)[mask].mean() < 1
    assert (mask != scene.mask("view_07")).mean() < 5e-4
    both = mask & scene.mask("view_07")
    # Mitsuba computes in float32: on a silhouette the last bit may decide which surface a ray meets.
    agrees = np.abs(depth - scene.depth("view_07"))[both] < 1e-4 * depth[both]
    assert agrees.mean() > 0.999


@pytest.mark.long
def test_mitsubas_own_camera_meets_surfaces_where_K_w2c_and_depth_say(mitsuba, staged):
    scene, view, image_id = open_scene("demo/test_00"), 4, "view_04"
    sensor = make_sensor(scene.K(image_id), scene.w2c(image_id), 96)
    depth, checked = scene.depth(image_id), 0
    for y, x in np.argwhere(scene.mask(image_id))[::17]:
        ray, _ = sensor.sample_ray(0.0, 0.0, mitsuba.Point2f((x + 0.5) / 96, (y + 0.5) / 96), mitsuba.Point2f(0.5))
        hit = staged.mitsuba_scene.ray_intersect(ray)
        in_camera = staged.w2c[view] @ [*np.array(hit.p, dtype=np.float64).ravel(), 1.0]
        pixel = staged.K[view] @ in_camera / in_camera[2]
        assert np.allclose(pixel[:2], [x, y], atol=2e-3)
        checked += abs(in_camera[2] / depth[y, x] - 1) < 1e-4
    assert checked > 0.995 * len(np.argwhere(scene.mask(image_id))[::17])


@pytest.mark.long
def test_what_is_written_is_what_is_read(mitsuba, tmp_path, monkeypatch):
    monkeypatch.setattr(render_demo, "VIEW_COUNT", 5)
    render_demo.write_scene("train_06", tmp_path, samples=4)
    monkeypatch.setattr(demo, "DATA_FOLDER", tmp_path)
    scene, staged = open_scene("demo/train_06"), render_demo.stage_scene("train_06")
    assert sorted(path.name for path in (tmp_path / "train_06").iterdir()) == [
        "cameras.json",
        "depths.png",
        "images.webp",
    ]
    image, depth, mask = render_demo.photograph(staged, 4, samples=4)
    assert np.array_equal(scene.image("view_04"), image)
    assert np.array_equal(scene.mask("view_04"), mask)
    assert np.allclose(scene.depth("view_04"), depth, rtol=1e-4, atol=0)
    assert np.array_equal(scene.K("view_04"), staged.K[4])
    assert np.array_equal(scene.w2c("view_04"), staged.w2c[4])


def test_rendering_without_mitsuba_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(MaskrfError, match=r"maskrf-core\[demo\]"):
        load_mitsuba()
