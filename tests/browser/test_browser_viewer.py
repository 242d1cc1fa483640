"""The window to walk through a scene, in a browser: a picture comes, moves, and a click on a photograph goes there."""

import io
import os
import re
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import open_scene
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.camera_paths.rig import rig_of
from maskrf_core.rendering.viewer.walking import Walk
from maskrf_core.rendering.viewer.window import open_window
from maskrf_core.settings.sections import ModelSettings

SCENE = "demo/test_00"
SIZE = {"width": 800, "height": 500}
AT_REST = r"154 × 96 pixels, 8 views, exact, [\d.]+ s\s*$"  # as high as the photographs are


@pytest.fixture
def window():
    """A window of a renderer that has learned nothing: about the average of the photographs."""
    torch.manual_seed(0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    renderer = Renderer(ModelSettings(coarse_samples=12, fine_samples=4)).eval()
    window = open_window(renderer, SCENE, "untrained", port=port)
    yield window
    window.stop()


@pytest.fixture
def page(browser, window):
    page = browser.new_page(viewport=SIZE)
    page.goto(window.address)
    yield page
    page.close()


def wait_for(page, pattern, seconds=180):
    """Wait until the panel's text matches."""
    end = time.monotonic() + seconds
    while not (found := re.search(pattern, page.inner_text("body"))):
        assert time.monotonic() < end, f"no {pattern!r} in {page.inner_text('body')!r}"
        time.sleep(0.1)
    return found


def picture_of(page, name):
    """What the page looks like left of the panel, kept under a name."""
    shown = page.screenshot()
    if folder := os.environ.get("MASKRF_SCREENSHOTS"):
        (Path(folder) / f"{name}.png").write_bytes(shown)
    return np.asarray(Image.open(io.BytesIO(shown)).convert("RGB"))[150:, :450].astype(int)


def poses():
    views = SceneViews(open_scene(SCENE))
    references = views.scene.split("test")[0]
    return Walk.through(rig_of(views.scene, references), [96] * len(references))


def on_screen(camera, point):
    """Where on the page a point of the window's world is, and how deep."""
    rotation = Rotation.from_quat(camera.wxyz, scalar_first=True).as_matrix()
    x, y, z = rotation.T @ (point - camera.position)
    focal = SIZE["height"] / 2 / np.tan(camera.fov / 2)
    return SIZE["width"] / 2 + focal * x / z, SIZE["height"] / 2 + focal * y / z, z


def nearest_photograph(camera):
    """The pose of the photograph that is nearest to the camera of all that are well in the page, and where it is."""
    walk, found = poses(), []
    for pose in walk.poses.values():
        forward = (pose.look_at - pose.position) / np.linalg.norm(pose.look_at - pose.position)
        x, y, depth = on_screen(camera, pose.position + walk.pyramid_size * forward)
        if depth > 3 * walk.pyramid_size and 60 < x < 440 and 170 < y < SIZE["height"] - 40:
            found.append((depth, x, y, pose))
    return min(found, key=lambda each: each[0])


@pytest.mark.long
def test_a_person_walks_through_a_scene(window, page):
    wait_for(page, SCENE)
    wait_for(page, "untrained")
    wait_for(page, AT_REST)
    (client,) = window.server.get_clients().values()
    assert picture_of(page, "viewer_at_rest").std() > 10
    first = min(poses().poses.values(), key=lambda pose: np.linalg.norm(pose.position - client.camera.position))
    np.testing.assert_allclose(client.camera.position, first.position, atol=1e-4)  # it begins where a photograph is
    np.testing.assert_allclose(client.camera.fov, first.fov, atol=1e-4)

    page.mouse.move(300, 250)
    page.mouse.wheel(0, 1500)
    wait_for(page, "5 views, preview")  # fewer while it moves
    wait_for(page, AT_REST)
    assert np.linalg.norm(client.camera.position - first.position) > 0.1
    picture_of(page, "viewer_further_away")

    _, x, y, pose = nearest_photograph(client.camera)
    page.mouse.click(x, y)
    end = time.monotonic() + 20
    while np.linalg.norm(client.camera.position - pose.position) > 1e-3:
        assert time.monotonic() < end, "a click on a photograph did not go there"
        time.sleep(0.1)
    assert abs(np.dot(client.camera.wxyz, pose.wxyz)) == pytest.approx(1, abs=1e-5)
    wait_for(page, "adaptive")
    wait_for(page, AT_REST)
    colour = picture_of(page, "viewer_at_a_photograph")

    page.get_by_role("textbox", name="Show").or_(page.locator("input[value='colour']")).first.click()
    page.get_by_role("option", name="depth").click()
    wait_for(page, "adaptive")
    wait_for(page, AT_REST)
    assert np.abs(picture_of(page, "viewer_depth") - colour).mean() > 5

    page.mouse.move(300, 250)
    page.mouse.wheel(0, 3000)
    wait_for(page, "adaptive")
    page.get_by_role("button", name="To the nearest photograph").click()
    end = time.monotonic() + 20
    while min(np.linalg.norm(client.camera.position - pose.position) for pose in poses().poses.values()) > 1e-3:
        assert time.monotonic() < end, "the button did not go to a photograph"
        time.sleep(0.1)
