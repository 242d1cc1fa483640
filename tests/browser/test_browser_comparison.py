"""Comparing renders by hand: drop-downs, the wipe and the path's slider, in JupyterLab and in a report's page."""

import nbformat
import pytest

from maskrf_core.workbook.reports import keep

COMPARE = """
import numpy as np
from maskrf_core.datasets.scene import open_scene
from maskrf_core.workbook.figures import moving_pictures
from maskrf_core.workbook.figures.moving_pictures import ComparedView, Render
def view(name, known):
    scene = open_scene(name)
    image_id = scene.split("test")[1][0]
    truth, depth, (near, far) = scene.image(image_id), scene.depth(image_id), scene.depth_range(image_id)
    shades = np.where(depth > 0, (1 / np.clip(depth, near, far) - 1 / far) / (1 / near - 1 / far) * 255, 0)
    render = lambda share: Render((truth * share).astype(np.uint8), (shades * share).astype(np.uint8))
    renders = {"dim": render(0.5), "good": render(0.9)}
    return ComparedView(name, image_id, truth, (near, far), depth if known else None, renders)
moving_pictures.compare([view("demo/test_00", True), view("demo/test_01", False)])
"""
SCRUB = """
from pathlib import Path
from PIL import Image
from maskrf_core.rendering.camera_paths.trajectories import PathCamera
from maskrf_core.rendering.path_rendering import RenderedPath
scene = open_scene("demo/test_00")
cameras = [PathCamera(scene.K(i), scene.w2c(i), scene.depth_range(i), (96, 96)) for i in scene.image_ids[:5]]
filmed = RenderedPath("demo/test_00", "orbit", cameras, Path("frames"))
filmed.folder.mkdir()
for i, files in zip(scene.image_ids, zip(filmed.frames("colour"), filmed.frames("depth"))):
    [Image.fromarray(scene.image(i)).save(file) for file in files]
moving_pictures.scrub(filmed, 8)
"""
TABLES = """
from maskrf_core.datasets import inventory
from maskrf_core.datasets.inventory import DataSetReport
from maskrf_core.datasets.records import DATA_SETS
from maskrf_core.settings.config import load_config
from maskrf_core.workbook.experiments import tables
from IPython.display import display
display(tables.settings_shown(load_config("pretrain", "demo"), ["masking.start", "masking.target_memory"]))
tables.where_to_get([DataSetReport(name, 0, ()) for name in DATA_SETS])
"""


def check_comparison(box):
    """Choose another scene and other methods, and draw the wipe."""
    selects, picture = box.locator("select"), box.locator("figure").nth(0).locator("img.right")
    assert selects.nth(0).locator("option").all_inner_texts() == ["demo/test_00", "demo/test_01"]
    assert selects.nth(2).locator("option").all_inner_texts() == ["truth", "dim", "good"]
    assert box.locator("figcaption").all_inner_texts() == ["colour", "error", "depth"]
    before = picture.get_attribute("src")
    selects.nth(3).select_option("dim")
    dim = picture.get_attribute("src")
    assert dim != before
    selects.nth(0).select_option("demo/test_01")
    assert picture.get_attribute("src") not in (before, dim)
    assert box.locator("figcaption").all_inner_texts()[2] == "depth (not known: truth)"
    stack = box.locator(".stack").nth(0)
    place = stack.bounding_box()
    clips = []
    for share in (0.25, 0.75):
        stack.page.mouse.move(place["x"] + share * place["width"], place["y"] + 20)
        stack.page.mouse.down()
        clips.append(stack.locator("img.left").evaluate("image => getComputedStyle(image).clipPath"))
        stack.page.mouse.up()
    assert "75%" in clips[0]
    assert "25%" in clips[1]
    selects.nth(0).select_option("demo/test_00")


def check_scrubber(box):
    """Move the slider, and play."""
    frame, picture = box.locator("input[type=range]"), box.locator("img.right").nth(0)
    before = picture.get_attribute("src")
    frame.fill("3")
    assert box.locator("output").inner_text() == "4 of 5"
    assert picture.get_attribute("src") != before
    box.locator("button").click()
    box.page.wait_for_function("box => box.querySelector('output').textContent != '4 of 5'", arg=box.element_handle())
    box.locator("button").click()


def test_a_hand_moves_the_pictures(lab, tmp_path):
    notebook = lab.open("comparison", COMPARE, SCRUB)
    for number, check in enumerate((check_comparison, check_scrubber)):
        notebook.run(number)
        check(notebook.output(number).locator(".maskrf-pictures"))
        notebook.screenshot(f"comparison_{number}")
    notebook.page.keyboard.press("Control+s")
    path = notebook.folder / "comparison.ipynb"
    notebook.page.wait_for_timeout(2000)
    page = keep(nbformat.read(path, 4), tmp_path, name="comparison")
    tab = lab.browser.new_page(viewport={"width": 1100, "height": 1400})
    refused = []
    tab.on("console", lambda message: refused.append(message.text))
    tab.goto(page.as_uri())
    check_comparison(tab.locator(".maskrf-pictures").nth(0))
    check_scrubber(tab.locator(".maskrf-pictures").nth(1))
    assert refused == []
    tab.screenshot(path=str(notebook.screenshot("comparison_page")), full_page=True)


@pytest.mark.long
def test_tables_are_whole_and_no_wider_than_the_page(lab):
    notebook = lab.open("tables", TABLES)
    notebook.run(0)
    output = notebook.output(0)
    output.locator("table").nth(1).wait_for()
    width = output.bounding_box()["width"]
    for table in output.locator("table").all():
        assert table.bounding_box()["width"] <= width
    notebook.screenshot("tables")
    links = output.locator("table a")
    assert links.count() > 5
    for link in links.all():
        place = link.bounding_box()
        assert place["x"] + place["width"] <= output.bounding_box()["x"] + width
