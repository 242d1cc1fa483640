"""Pictures that move without a kernel: what the script is told, that names are text, and which script is allowed."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from maskrf_core.rendering.camera_paths.trajectories import PathCamera
from maskrf_core.rendering.path_rendering import RenderedPath
from maskrf_core.workbook.figures import moving_pictures as moving
from maskrf_core.workbook.figures.moving_pictures import ComparedView, Render

NEAR, FAR = 1.0, 4.0


def view(scene="demo/a", image_id="v0", true_depth=None, side=8):
    truth = np.full((side, side + 2, 3), 100, np.uint8)
    worse = truth + np.uint8(51)  # an error of 0.2 everywhere
    depth = np.full((side, side + 2), 255, np.uint8)
    renders = {"exact": Render(truth, depth), "<b>worse": Render(worse, depth)}
    return ComparedView(scene, image_id, truth, (NEAR, FAR), true_depth, renders)


def told(page):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page.data, re.DOTALL)[1])


def picture(encoded):
    return np.array(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")).astype(int)


def test_every_scene_view_and_method_can_be_chosen_beside_the_truth():
    page = moving.compare([view(), view("demo/b"), view("demo/b", "v1")])
    shown = told(page)
    assert {scene: list(views) for scene, views in shown["scenes"].items()} == {
        "demo/a": ["v0"],
        "demo/b": ["v0", "v1"],
    }
    (first,) = shown["scenes"]["demo/a"].values()
    assert list(first["sources"]) == ["truth", "exact", "<b>worse"]
    assert first["size"] == [10, 8]
    assert "<b>" not in page.data, "names are text"


def test_a_path_that_is_too_large_is_shown_in_fewer_frames_and_no_slower(tmp_path, monkeypatch):
    cameras = [PathCamera(np.eye(3), np.eye(4)[:3], (NEAR, FAR), (8, 10))] * 5
    filmed = RenderedPath("demo/a", "orbit", cameras, tmp_path)
    for number, file in enumerate([*filmed.frames("colour"), *filmed.frames("depth")]):
        Image.new("RGB", (10, 8), (50 * (number % 5),) * 3).save(file)
    whole = told(moving.scrub(filmed, 10))
    assert (len(whole["frames"]), whole["rate"], whole["size"]) == (5, 10, [10, 8])
    size = sum(len(part) for frame in whole["frames"] for part in frame.values())
    monkeypatch.setattr(moving, "LARGEST", size - 1)
    page = moving.scrub(filmed, 10)
    assert (told(page)["frames"], told(page)["rate"]) == (whole["frames"][::2], 5)
    assert "One of 2 frames" in page.data


def test_errors_of_all_methods_share_one_scale():
    (shown,) = told(moving.compare([view()]))["scenes"]["demo/a"].values()
    assert shown["marks"]["error"][0] == "0"
    assert shown["marks"]["error"][-1].startswith("0.20")
    errors = {name: picture(source["error"]) for name, source in shown["sources"].items()}
    assert errors["truth"].max() < 20
    assert errors["exact"].max() < 20
    assert errors["<b>worse"].mean() > 200, "the bright end of the scale"


def test_true_and_rendered_depth_share_one_scale_and_an_unknown_one_is_told_as_such():
    true = np.full((8, 10), NEAR, np.float32)
    true[:, 5:] = 0
    (known,) = told(moving.compare([view(true_depth=true)]))["scenes"]["demo/a"].values()
    rendered, truth = (picture(known["sources"][name]["depth"]) for name in ("exact", "truth"))
    np.testing.assert_allclose(truth[2:6, :3], rendered[2:6, :3], atol=24)  # WebP
    assert truth[:, 8:].max() < 30, "nothing is there"
    assert known["marks"]["depth"] == ["1", "1.6", "4"]
    (unknown,) = told(moving.compare([view()]))["scenes"]["demo/a"].values()
    assert "depth" not in unknown["sources"]["truth"]


def test_views_that_would_make_the_page_too_large_are_left_out_and_counted(monkeypatch):
    monkeypatch.setattr(moving, "LARGEST", 1)
    page = moving.compare([view(), view("demo/b")])
    assert list(told(page)["scenes"]) == ["demo/a"]
    assert "1 of 2 views" in page.data


@pytest.mark.parametrize("side", [100, 400])
def test_large_pictures_are_scaled_down(side):
    (shown,) = told(moving.compare([view(side=side)]))["scenes"]["demo/a"].values()
    assert max(picture(shown["sources"]["exact"]["colour"]).shape) == min(side + 2, moving.LONGEST_SIDE)


def test_the_policy_names_the_script_that_stands_in_the_page():
    script = re.search(r"<script>(.*?)</script>", moving.compare([view()]).data, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert moving.script_source() == f"'sha256-{digest}'"
