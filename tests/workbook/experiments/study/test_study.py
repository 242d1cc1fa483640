"""The study as a whole, at smoke size: its rows come, once, whatever stops it on the way."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest

from maskrf_core.support.atomic_files import write_text
from maskrf_core.training.process.protocol import ExitCode
from maskrf_core.workbook.experiments.study import __main__ as study
from maskrf_core.workbook.experiments.study import plan, running
from maskrf_core.workbook.experiments.study.rows import KEY, long_scores, read_rows

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("smoke")]
OF_THE_RUN = ["date", "pretrain seconds", "seconds", "memory mib", "commit", "changes"]


@pytest.fixture
def one_arm(monkeypatch):
    """One arm that masks, looked at twice, with one seed."""
    (arm,) = [arm for arm in plan.ARMS if arm.name == plan.PAPER]
    monkeypatch.setattr(plan, "ARMS", [replace(arm, shares=(0.3, 1.0), few_scenes=())])
    monkeypatch.setattr(plan, "SEEDS", {"main": 1, "factors": 1})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def run(folder, name: str) -> tuple[int, pd.DataFrame]:
    paths = ["--folder", str(folder / name), "--table", str(folder / f"{name}.csv")]
    code = study.main([*paths, "--data-root", str(folder), "--processes", "2"])
    return code, read_rows(folder / f"{name}.csv").sort_values(list(KEY), ignore_index=True)


def test_a_study_that_is_stopped_ends_with_the_rows_of_one_that_was_not(one_arm, tmp_path, monkeypatch):
    code, whole = run(tmp_path, "whole")
    assert code == 0
    assert list(whole["steps"]) == [2, 6]
    scores = long_scores(whole)
    assert set(scores["working views"]) == {3, 8}
    assert scores[["psnr", "ssim", "depth error"]].notna().all(axis=None)

    def scored_then_stopped(chain):
        write_text(chain.point.folder.parent / "stop", "")
        return goes_on(chain)

    goes_on = running.StudyChain.goes_on
    with monkeypatch.context() as patch:
        patch.setattr(running.StudyChain, "goes_on", scored_then_stopped)
        code, _ = run(tmp_path, "stopped")
    assert code == ExitCode.STOP_FILE
    code, stopped = run(tmp_path, "stopped")
    assert code == 0
    pd.testing.assert_frame_equal(stopped.drop(columns=OF_THE_RUN), whole.drop(columns=OF_THE_RUN))

    shutil.rmtree(tmp_path / "stopped")  # as on another machine: what has its row is not trained again
    assert run(tmp_path, "stopped")[0] == 0
    assert not (tmp_path / "stopped").exists()
