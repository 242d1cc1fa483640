"""Mitsuba still makes the demo scenes; its cameras and ours agree; what is written is what is read."""

import sys

import numpy as np
import pytest

from maskrf_core.datasets import demo
from maskrf_core.datasets.files.sheets import LOSSLESS
from maskrf_core.datasets.procedural import kinds, studio
from maskrf_core.datasets.procedural.demo_recipes import compose_demo_scene
from maskrf_core.datasets.procedural.making import make_scene
from maskrf_core.datasets.procedural.studio import load_mitsuba, make_sensor, photograph, stage
from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import MaskrfError


@pytest.fixture(scope="module")
def mitsuba():
    pytest.importorskip("mitsuba", reason="mitsuba (extra `demo`) is not installed")
    return load_mitsuba()


@pytest.fixture(scope="module")
def staged(mitsuba):
    return stage(compose_demo_scene("test_00"))


@pytest.mark.long
def test_one_view_comes_out_the_same_again(staged):
    scene = open_scene("demo/test_00")
    photo = photograph(staged, view=7, samples=121)
    difference = photo.image.astype(float) - scene.image("view_07")
    # Another variant of mitsuba draws other noise, which is gone from the means of 8×8 pixels.
    assert np.abs(difference)[photo.mask].mean() < 4
    assert np.abs(difference.reshape(12, 8, 12, 8, 3).mean((1, 3))).mean() < 0.5
    assert photo.depth_range == scene.depth_range("view_07")
    assert (photo.mask != scene.mask("view_07")).mean() < 5e-4
    both = photo.mask & scene.mask("view_07")
    # Mitsuba computes in float32: on a silhouette the last bit may decide which surface a ray meets.
    agrees = np.abs(photo.depth - scene.depth("view_07"))[both] < 1e-4 * photo.depth[both]
    assert agrees.mean() > 0.999


def test_mitsubas_own_camera_meets_surfaces_where_K_w2c_and_depth_say(mitsuba, staged):
    scene, view, image_id = open_scene("demo/test_00"), 4, "view_04"
    sensor = make_sensor(scene.K(image_id), scene.w2c(image_id), 96)
    depth = scene.depth(image_id)
    pixels, agree = np.argwhere(scene.mask(image_id))[::17], 0
    for y, x in pixels.tolist():
        ray, _ = sensor.sample_ray(0.0, 0.0, mitsuba.Point2f((x + 0.5) / 96, (y + 0.5) / 96), mitsuba.Point2f(0.5))
        hit = staged.mitsuba_scene.ray_intersect(ray)
        in_camera = staged.w2c[view] @ [*np.array(hit.p, dtype=np.float64).ravel(), 1.0]
        pixel = staged.K[view] @ in_camera / in_camera[2]
        assert np.allclose(pixel[:2], [x, y], atol=2e-3)
        agree += abs(in_camera[2] / depth[y, x] - 1) < 1e-4
    assert agree > 0.995 * len(pixels)


@pytest.mark.long
def test_what_is_written_is_what_is_read(mitsuba, tmp_path, monkeypatch):
    first = compose_demo_scene("train_06")
    few = first._replace(K=first.K[:6], w2c=first.w2c[:6])
    (tmp_path / "train_06").mkdir()
    (tmp_path / "train_06" / "images.webp").write_bytes(b"broken: it is replaced")
    make_scene(tmp_path / "train_06", lambda name: few, samples=4, quality=LOSSLESS)
    monkeypatch.setattr(demo, "DATA_FOLDER", tmp_path)
    scene, staged = open_scene("demo/train_06"), stage(few)
    assert {path.name for path in (tmp_path / "train_06").iterdir()} == {"cameras.json", "depths.png", "images.webp"}
    photo = photograph(staged, 5, samples=4)
    assert np.array_equal(scene.image("view_05"), photo.image)
    assert np.array_equal(scene.mask("view_05"), photo.mask)
    assert np.allclose(scene.depth("view_05"), photo.depth, rtol=1e-4, atol=0)
    assert np.array_equal(scene.K("view_05"), staged.K[5])
    assert np.array_equal(scene.w2c("view_05"), staged.w2c[5])


@pytest.mark.long
@pytest.mark.parametrize("kind", ["tables", "rooms"])
def test_closed_scenes_fill_the_picture_and_are_well_exposed(mitsuba, kind):
    staged = stage(kinds.compose(f"{kind}_0003"))
    photo = photograph(staged, 3, samples=9)
    assert photo.mask.all()
    assert 60 < np.median(photo.image) < 190
    assert photo.depth_range[0] < photo.depth.min() < photo.depth.max() < photo.depth_range[1]


def test_an_llvm_that_is_too_old_is_left_aside(mitsuba, monkeypatch):
    before = mitsuba.variant()
    monkeypatch.setattr(studio, "OLDEST_LLVM", 99)
    try:
        with pytest.warns(UserWarning, match="LLVM is not used"):
            assert load_mitsuba.__wrapped__().variant() == "scalar_rgb"
    finally:
        mitsuba.set_variant(before)


def test_photographing_without_mitsuba_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(MaskrfError, match=r"maskrf-core\[demo\]"):
        load_mitsuba.__wrapped__()


def test_a_cutout_stands_on_its_colour_and_nothing_else_of_it_differs(mitsuba):
    objects = kinds.compose("objects_0000")._replace(image_size=24)
    scaled = objects.K * [[24 / kinds.IMAGE_SIZE], [24 / kinds.IMAGE_SIZE], [1]]
    scaled[:, :2, 2] = 11.5
    on_black, on_white = (
        photograph(stage(objects._replace(K=scaled, background=colour)), 0, 9) for colour in (None, np.ones(3))
    )
    np.testing.assert_array_equal(on_black.depth, on_white.depth)
    alone = ~on_white.mask
    assert (on_white.image[alone] == 255).all(axis=-1).mean() > 0.7  # but for edges, which are blended
    assert (on_black.image[alone] == 0).all(axis=-1).mean() > 0.7
    inside = on_white.mask & (on_black.image.max(-1) > 0)
    assert (on_white.image >= on_black.image)[inside].all()
