"""A training under one's eyes: it holds no cell, survives its tab, is waited for by name, and stops by its button."""

import time

import pytest

RUN = """from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.workbook.experiments.following import train, wait_for, watch
asked = {"training.steps": 24, "training.log_every": 2, "training.validate_every": 6, "training.validation_views": 1}
asked |= {"data.validation_scenes": ["demo/validation_00"], "model.coarse_samples": 16, "model.fine_samples": 8}
run = Run.start("NAME", load_config("pretrain", "demo", asked))"""


def until(said, notebook, number, seconds=120):
    """Wait until an output says something."""
    end = time.monotonic() + seconds
    while said not in notebook.output(number).inner_text():
        assert time.monotonic() < end, notebook.output(number).inner_text()
        time.sleep(0.3)


@pytest.mark.long
def test_a_tab_is_closed_and_reopened_during_a_training(lab):
    cells = [RUN.replace("NAME", "reopened"), "train(run)", "wait_for(run)\nprint(len(run.metrics()), 'rows')"]
    notebook = lab.open("reopened", *cells, "watch(run)")
    notebook.run(0)
    notebook.run(1, seconds=20)  # returns while it trains
    until("starting", notebook, 1)
    assert "drawn from the second line" in notebook.output(1).inner_text()
    assert not notebook.output(1).locator("img").count()
    until("training · step", notebook, 1)
    notebook.screenshot("training_begun")
    notebook.page.keyboard.press("Control+s")
    notebook.page.close()

    notebook = lab.reopen("reopened")
    notebook.screenshot("training_reopened")
    notebook.run(3, seconds=20)
    until("left", notebook, 3)
    until("validation at step 6", notebook, 3)
    notebook.screenshot("training_watched")
    assert "step      2  train" in notebook.output(3).inner_text()  # what was printed before
    notebook.run(1, seconds=20)
    until("training · step", notebook, 1)
    notebook.run(2, seconds=400)
    assert "rows" in notebook.output(2).inner_text()
    until("done: all 24 steps", notebook, 1)
    until("done: all 24 steps", notebook, 3)
    pictures = notebook.output(3).locator("figure img")
    assert pictures.count() == 5  # steps 6, 12, 18 and 24, and the truth
    assert all(picture.evaluate("image => image.naturalWidth > 0") for picture in pictures.all())
    notebook.screenshot("training_done")


@pytest.mark.long
def test_interrupted_waiting_is_one_line_and_the_button_stops(lab):
    notebook = lab.open("interrupted", RUN.replace("NAME", "interrupted"), "train(run)", "wait_for(run)")
    notebook.run(0)
    notebook.run(1, seconds=20)
    until("training · step", notebook, 1)
    notebook.run(2, wait=False)
    until("waiting for", notebook, 2)
    notebook.cell(2).locator(".jp-InputPrompt").first.click()
    notebook.page.keyboard.press("Escape")
    notebook.page.keyboard.press("i")
    notebook.page.keyboard.press("i")
    notebook.wait(2)
    notebook.screenshot("training_interrupted")
    _, interrupted = filter(None, notebook.output(2).inner_text().splitlines())
    assert "saved at step" in interrupted
    notebook.page.locator("button", has_text="save and stop").click()
    until("stopped: saved at step", notebook, 1)
    notebook.screenshot("training_stopped")
    notebook.run(2)
    assert "TrainingStopped" in notebook.output(2).inner_text()
    assert "Traceback" not in notebook.output(2).inner_text()
