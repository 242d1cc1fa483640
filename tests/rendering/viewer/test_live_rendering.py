"""Pictures for someone who moves: those of the other renderings, made of views that are encoded once."""

import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import open_scene
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.path_rendering import path_batch
from maskrf_core.rendering.rendered_views import PixelRenderer
from maskrf_core.rendering.viewer import live_rendering
from maskrf_core.rendering.viewer.live_rendering import LiveScene, Quality
from maskrf_core.rendering.viewer.walking import Walk
from maskrf_core.settings.sections import EXACT, ModelSettings, RenderingSettings
from maskrf_core.support.errors import DatasetError
from tests.datasets.memory_scene import MemoryScene

ADAPTIVE = RenderingSettings(mode="adaptive")


def renderer_of(init="depth"):
    torch.manual_seed(0)
    return Renderer(ModelSettings(visibility_init=init, coarse_samples=5, fine_samples=2)).eval()


@pytest.fixture
def live():
    return LiveScene(renderer_of(), SceneViews(open_scene("demo/test_00")))


def camera_of(live, index=0, size=(24, 32)):
    """The camera of a reference view's pose, as a window has it."""
    walk = Walk.through(live.rig, [height for height, _ in live.sizes])
    pose = walk.poses[live.references[index]]
    return walk.camera_at(pose.wxyz, pose.position, pose.fov, size)


def expected(live, camera, working_views, rendering=EXACT):
    batch = path_batch(live.views, camera, live.references, working_views, live.renderer.inputs)
    pictures = PixelRenderer(live.renderer, 2048, rendering=rendering)(batch)
    return pictures["fine"], pictures["fine_depth"]


def check(picture, rgb, depth):
    assert picture.done == 1
    np.testing.assert_allclose(picture.rgb, rgb, atol=1e-5)
    np.testing.assert_allclose(picture.depth, depth, atol=1e-4)


@pytest.mark.parametrize("init", ["depth", "cost_volume"])
def test_a_reference_view_looks_as_on_a_path(init):
    live = LiveScene(renderer_of(init), SceneViews(open_scene("demo/test_00")))
    camera = camera_of(live, 3, size=(96, 96))
    assert np.allclose(camera.K, live.views.scene.K(live.references[3]), rtol=1e-5)
    small = camera_of(live, 3)
    *_, picture = live.render(small, 3)
    check(picture, *expected(live, small, 3))


def test_moving_takes_fewer_views_and_samples(live):
    camera = camera_of(live)
    *_, picture = live.render(camera, 5, Quality(ADAPTIVE, most_views=2))
    check(picture, *expected(live, camera, 2, ADAPTIVE))
    preview = RenderingSettings(mode="preview")
    *_, picture = live.render(camera, 5, Quality(preview, most_views=2))
    check(picture, *expected(live, camera, 2, preview))


@pytest.mark.parametrize("init", ["depth", "cost_volume"])
def test_views_of_unequal_sizes_are_rendered_as_on_a_path(init):
    scene = MemoryScene(5)
    whole = scene.image
    scene.image = lambda image_id: whole(image_id)[:-7] if image_id == scene.image_ids[1] else whole(image_id)
    live = LiveScene(renderer_of(init), SceneViews(scene))
    camera = camera_of(live)
    *_, picture = live.render(camera, 3)
    check(picture, *expected(live, camera, 3))


@pytest.mark.parametrize("init", ["depth", "cost_volume"])
def test_what_was_encoded_is_kept(init, monkeypatch):
    live = LiveScene(renderer_of(init), SceneViews(MemoryScene(6)))
    encode, seen = live.renderer.encode, []

    def counted(references, sources=None):
        seen.append(len(references))
        return encode(references, sources)

    monkeypatch.setattr(live.renderer, "encode", counted)
    for index in (0, 1, 2, 3, 4, 0, 1, 2, 3, 4):
        list(live.render(camera_of(live, index, (8, 8)), 2))
    assert set(seen) == {2 if init == "depth" else 1}
    assert len(seen) <= 5


def test_rows_come_in_bands_over_what_was_there(live, monkeypatch):
    monkeypatch.setitem(live_rendering.PIXELS_OF_A_BAND, "cpu", 32 * 10)
    camera = camera_of(live)
    *_, small = live.render(camera_of(live, 0, (12, 16)), 2)
    bands = list(live.render(camera, 2, before=small))
    assert [band.done for band in bands] == pytest.approx([10 / 24, 20 / 24, 1])
    np.testing.assert_array_equal(bands[0].rgb[:10], bands[2].rgb[:10])
    assert np.abs(bands[0].rgb[10:] - bands[2].rgb[10:]).max() > 1e-4
    assert np.abs(bands[0].rgb[20:] - small.rgb[10:].repeat(2, 0).repeat(2, 1)).mean() < 0.05
    check(bands[2], *expected(live, camera, 2))


def test_a_late_picture_is_given_up(live, monkeypatch):
    monkeypatch.setitem(live_rendering.PIXELS_OF_A_BAND, "cpu", 32 * 10)
    asked = []

    def later():
        asked.append(1)
        return len(asked) > 1

    assert [band.done for band in live.render(camera_of(live), 2, given_up=later)] == pytest.approx([10 / 24])


def test_a_scene_without_reference_views_is_refused():
    views = SceneViews(MemoryScene(2))
    views.scene.split = lambda kind: ([], views.scene.image_ids)
    with pytest.raises(DatasetError):
        LiveScene(renderer_of(), views)


@pytest.mark.parametrize("rendering", [EXACT, ADAPTIVE])
def test_other_aggregators_are_walked_through(rendering):
    """Their views are encoded one by one, too."""
    renderer = Renderer(ModelSettings(aggregator="ibrnet", coarse_samples=5, fine_samples=2)).eval()
    live = LiveScene(renderer, SceneViews(open_scene("demo/test_00")))
    *_, picture = live.render(camera_of(live), 2, Quality(rendering))
    assert np.isfinite(picture.rgb).all()
    assert picture.rgb.max() > 0
