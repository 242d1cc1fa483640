"""What a hand moves: the sliders of the epipolar picture, the ray inspector, and the slider of masks."""

import time

import pytest

EPIPOLAR = """
from pathlib import Path
from maskrf_core.datasets.scene import open_scene
from maskrf_core.workbook import viewers
scene = open_scene("demo/train_04")
viewers.epipolar_check(scene, scene.image_ids, "43, 55", {}, Path("epipolar.png"))
"""
INSPECTION = """
from pathlib import Path
from maskrf_core.checkpoints.published_checkpoints import load_renderer
from maskrf_core.checkpoints.published_files import SHIPPED
from maskrf_core.settings.config import load_config
from maskrf_core.workbook import viewers
from maskrf_core.workbook.experiments.comparison import untrained_like
from maskrf_core.workbook.experiments.ray_inspection import inspection_of
config, shipped = load_config("pretrain", "demo"), load_renderer(SHIPPED["maskrf-pretrained"])
renderers = {"untrained": untrained_like(shipped, config), "pretrained": shipped}
inspection = inspection_of(config, renderers, "demo/test_00")
"""
RAYS = 'viewers.inspect_rays(inspection, Path("ray.png"))'
MASKS = 'viewers.masked_unmasked_truth(inspection, ["untrained", "pretrained"], Path("masked.png"))'


def picture(output, number: int) -> str:
    """Wait until a widget's picture is decoded, and return its address, which is another one for other bytes."""
    image = output.locator("img.widget-image").nth(number)
    image.wait_for(timeout=30_000)
    end = time.monotonic() + 30
    while not image.evaluate("image => image.complete && image.naturalWidth > 50"):
        assert time.monotonic() < end, "the picture is broken"
        time.sleep(0.1)
    return image.get_attribute("src")


def changed(output, number: int, before: str, seconds: float = 30) -> float:
    """Wait until the picture is another one; return the seconds that it took."""
    begun = time.monotonic()
    while (now := output.locator("img.widget-image").nth(number).get_attribute("src")) == before or not now:
        assert time.monotonic() - begun < seconds, "the picture did not change"
        time.sleep(0.02)
    return time.monotonic() - begun


def test_a_slider_moves_the_epipolar_line(lab):
    notebook = lab.open("epipolar", EPIPOLAR)
    notebook.run(0)
    output = notebook.output(0)
    before = picture(output, 0)
    assert "<Figure" not in output.inner_text()
    output.locator(".noUi-handle").first.focus()
    notebook.page.keyboard.press("ArrowRight")
    changed(output, 0, before)
    notebook.screenshot("epipolar")


@pytest.mark.long
def test_a_click_follows_another_ray(lab):
    notebook = lab.open("rays", INSPECTION + RAYS)
    notebook.run(0)
    output = notebook.output(0)
    before = picture(output, 1)
    box = output.locator("img.widget-image").first.bounding_box()
    output.locator("img.widget-image").first.click(position={"x": 0.25 * box["width"], "y": 0.75 * box["height"]})
    seconds = [changed(output, 1, before)]
    notebook.page.wait_for_timeout(500)
    readouts = output.locator(".widget-readout").all_inner_texts()
    assert [int(text) for text in readouts[:2]] == [24, 72]
    notebook.screenshot("ray_clicked")
    for choice, value in (("untrained", "untrained"), ("view", "view")):
        before = picture(output, 1)
        output.locator(f"select:has(option:text-is('{choice}'))").select_option(value)
        seconds.append(changed(output, 1, before))
    notebook.screenshot("ray_untrained")
    print("seconds a move:", seconds)
    assert min(seconds) < 2  # 0.3 on a machine with nothing else to do


@pytest.mark.long
def test_a_slider_masks_more(lab):
    notebook = lab.open("masks", INSPECTION + MASKS)
    notebook.run(0, seconds=300)
    output = notebook.output(0)
    before = picture(output, 0)
    output.locator(".noUi-handle").first.focus()
    for _ in range(4):
        notebook.page.keyboard.press("ArrowRight")
    changed(output, 0, before)
    notebook.page.wait_for_timeout(1500)
    assert "0.9" in output.locator(".widget-readout").first.inner_text()
    notebook.screenshot("masked_slider")
