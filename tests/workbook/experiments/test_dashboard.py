"""The dashboard says of run folders, which are there or not yet, how far each point of a grid is."""

import pandas as pd
import pytest

from maskrf_core.runs import Run, TrainingStatus
from maskrf_core.runs.log import RunLog
from maskrf_core.runs.status import owned, write_status
from maskrf_core.workbook.experiments import dashboard as boards
from maskrf_core.workbook.experiments import grid
from maskrf_core.workbook.experiments.dashboard import Dashboard, progress_of
from maskrf_core.workbook.parameters import AblationParameters

pytestmark = pytest.mark.usefixtures("smoke")


@pytest.fixture
def points(tmp_path):
    return grid.plan(
        AblationParameters(runs_root=str(tmp_path), mask_ratios="0, 0.5", pretrain_steps=4, finetune_steps=2)
    )


def trained_so_far(point, stage: int, step: int, state: str, psnr: float | None = None) -> Run:
    """Leave a run folder as a training at a step would; 0.5 seconds a step."""
    run = Run.start(point.runs[stage].folder, point.configs[stage])
    log = RunLog(run, 0)
    for k in range(1, step + 1):
        log.write(k, "train", {"colour_fine": 1 / k, "seconds_per_step": 0.5})
    if psnr is not None:
        log.write(step, "validation", {"fine_psnr": psnr, "fine_ssim": 0.5})
    log.close()
    about = {"pid": 1, "host": "h", "processes": 1, "started": "2026", "updated": "2026"}
    write_status(run.folder, TrainingStatus(state=state, step=step, steps=point.steps[stage], **about))
    return run


def finished(point, psnr: float) -> None:
    trained_so_far(point, 0, 4, "finished", psnr - 1)
    trained_so_far(point, 1, 2, "finished", psnr)


def test_progress_of_a_point_from_nothing_to_its_end(points):
    point = points[1]
    assert progress_of(point).written == "to do"
    run = trained_so_far(point, 0, 3, "training")
    assert progress_of(point).state == "killed"
    with owned(run.folder):
        found = progress_of(point)
    assert (found.state, found.stage, found.step, found.steps_left) == ("training", "pretraining", 3, 3)
    assert (found.seconds_per_step, found.psnr, len(found.losses)) == (0.5, None, 3)
    trained_so_far(point, 0, 4, "finished", 11.0)
    assert (progress_of(point).stage, progress_of(point).steps_left, progress_of(point).psnr) == ("finetuning", 2, 11)
    with owned(trained_so_far(point, 1, 2, "training").folder):
        assert progress_of(point).written == "finetuning, step 2 of 2"  # validates and saves
    trained_so_far(point, 1, 2, "finished", 12.0)
    assert (progress_of(point).written, progress_of(point).psnr, progress_of(point).steps_left) == ("finished", 12, 0)


def test_the_page_follows_and_stops(points, monkeypatch):
    monkeypatch.setattr(boards, "SECONDS_BETWEEN_LOOKS", 3600.0)
    board = Dashboard(points)
    head, stop_all = board.page.children[0].children
    row, stop = board.page.children[3].children  # of the second point, below the headings and the first
    assert stop.disabled
    assert stop_all.disabled
    finished(points[0], 12.0)
    run = trained_so_far(points[1], 0, 2, "training")
    with owned(run.folder):
        assert board.update()
        assert "1 of 2 points finished, about 2 s left" in head.value  # 4 steps of 0.5 s
        assert "step 2 of 4" in row.value
        assert "<polyline" in row.value
        stop.click()
        assert run.stop_path.is_file()
        assert stop.disabled
        stop_all.click()
        assert (points[0].folder.parent / "stop").is_file()
    run.stop_path.unlink()
    finished(points[1], 13.5)
    assert not board.update()
    assert "2 of 2" in head.value
    assert 'alt="No gain or loss by masking can be told: one seed has no interval"' in board.page.children[-1].value


def test_where_nobody_watches_it_is_the_table(points):
    pd.testing.assert_frame_equal(boards.dashboard(points), grid.overview(points))
