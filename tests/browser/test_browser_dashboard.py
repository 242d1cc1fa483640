"""The dashboard of a grid in a browser: it moves while the grid trains, stops a point, and comes back in a new tab."""

import pytest

PLAN = """%env MASKRF_SMOKE=1
from maskrf_core.workbook.experiments import grid
from maskrf_core.workbook.experiments.dashboard import dashboard
from maskrf_core.workbook.experiments.grid_training import GridTraining
from maskrf_core.workbook.parameters import AblationParameters

parameters = AblationParameters(mask_ratios="0, 0.5", pretrain_steps={steps}, finetune_steps=2)
points = grid.plan(parameters)
dashboard(points)"""
TRAIN = "training = GridTraining(points, parameters)"


@pytest.mark.long
def test_a_grid_is_watched_from_two_tabs_and_waited_for(lab):
    notebook = lab.open("grid", PLAN.format(steps=6), TRAIN, "print(len(points))", "training.wait()")
    notebook.run(0)
    board = notebook.output(0)
    board.get_by_text("0 of 2 points finished").wait_for()
    assert board.get_by_text("to do").count() == 2
    notebook.run(1)
    notebook.run(2, seconds=10)  # the kernel is free
    board.get_by_text("pretraining, step").first.wait_for(timeout=60_000)
    notebook.screenshot("dashboard_begun")
    board.get_by_text("1 of 2 points finished").wait_for(timeout=180_000)
    notebook.page.close()
    notebook = lab.reopen("grid")
    notebook.run(0)
    board = notebook.output(0)
    board.locator("img[alt]").wait_for(timeout=300_000)
    notebook.screenshot("dashboard_reopened")
    notebook.run(3, seconds=400)
    board.get_by_text("2 of 2 points finished").wait_for()
    assert board.locator("polyline").count() == 2
    assert board.get_by_text("dB", exact=False).count() >= 2
    board.locator("img[alt]").scroll_into_view_if_needed()
    notebook.screenshot("dashboard_finished")


@pytest.mark.long
def test_a_point_is_stopped_and_the_others_go_on(lab):
    notebook = lab.open("stopped", PLAN.format(steps=60), TRAIN)
    notebook.run(0)
    board = notebook.output(0)
    notebook.run(1)
    board.get_by_text("pretraining, step").first.wait_for(timeout=60_000)
    board.locator("button:enabled", has_text="stop").nth(1).click()  # the first is that of all
    board.get_by_text("stopped in pretraining").wait_for(timeout=60_000)
    board.get_by_text("pretraining, step").first.wait_for(timeout=60_000)  # the next one
    notebook.screenshot("dashboard_stopped")
    board.get_by_role("button", name="stop all").click()
    board.get_by_text("stopped in pretraining").nth(1).wait_for(timeout=60_000)
    assert notebook.output(1).get_by_text("stopped by a file named stop").count()  # below the cell that trains
