"""Cells that train: they start or find a process, show how it goes, and say how it ended."""

import os
import signal
import subprocess
import sys
import time

import ipywidgets
import pytest

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.runs.status import AlreadyTrained, is_owned, owned
from maskrf_core.support.errors import RunError
from maskrf_core.training.process.protocol import ExitCode, TrainingStopped
from maskrf_core.training.process.training_process import KILLED, TrainingProcess
from maskrf_core.workbook.experiments import following
from maskrf_core.workbook.experiments.following import train
from tests.training.processes import assert_same_bits, has_done, started_run, wait_until

LONG = {"training__steps": 5000, "training__log_every": 1, "training__checkpoint_every": 5000,
        "training__validate_every": 5000}  # fmt: skip


def test_a_cell_trains_in_a_process_of_its_own_to_the_same_bits(smoke_run, tmp_path, capfd):
    run = started_run(tmp_path / "run")
    train(run)
    said = capfd.readouterr().out
    assert [line.split()[:3] for line in said.splitlines() if line.startswith("step")] == [
        ["step", "2", "train"], ["step", "4", "train"], ["step", "6", "train"], ["step", "6", "validation"],
    ]  # fmt: skip
    assert run.log_path.read_text() == said
    assert run.status.pid != os.getpid()
    assert_same_bits(run, smoke_run)
    train(run)
    assert capfd.readouterr().out == "run: all 6 steps were done before\n"


@pytest.mark.long
def test_the_process_outlives_who_started_it_and_is_found_again(tmp_path, capfd):
    run = started_run(tmp_path / "run", **LONG)
    code = (
        "import sys; from maskrf_core.runs import Run; from maskrf_core.workbook.experiments.following import train; "
    )
    kernel = subprocess.Popen(
        [sys.executable, "-c", f"{code}train(Run.open(sys.argv[1]))", str(run.folder)],
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: has_done(run, 2), "the second step")
    os.killpg(kernel.pid, signal.SIGKILL)  # as the end of a notebook's kernel
    kernel.wait()
    time.sleep(0.3)
    assert is_owned(run.folder)
    with pytest.raises(AlreadyTrained, match=f"by process {run.status.pid} on "), owned(run.folder):
        pass

    found = TrainingProcess.of(run)
    assert found.was_found
    done = run.metrics()["step"].max()
    wait_until(lambda: has_done(run, done + 1), "another step")
    assert found.new_text().startswith("step")
    run.stop_path.touch()
    with pytest.raises(TrainingStopped, match="a file named stop") as stopped:
        train(run)
    assert stopped.value.code == ExitCode.STOP_FILE
    assert "is being trained already: following" in capfd.readouterr().out
    assert not is_owned(run.folder)
    assert read_our_checkpoint(run.last_checkpoint)["step"] >= done


@pytest.mark.long
def test_two_starts_at_once_are_one_training(tmp_path):
    run = started_run(tmp_path / "run")
    first, second = TrainingProcess.of(run), TrainingProcess.of(run)
    for process in (first, second):
        wait_until(lambda process=process: not process.runs(), "its end")
        process.check_end()
    assert len([line for line in run.log_path.read_text().splitlines() if line.startswith("step      6  val")]) == 1
    assert first.was_found + second.was_found <= 1


def test_a_failure_is_told_with_its_reason_and_last_lines(tmp_path):
    run = started_run(tmp_path / "run", training__initial_weights=str(tmp_path / "nowhere.pt"))
    with pytest.raises(RunError, match=r"(?s)failed\. .*nowhere\.pt.*last lines.*CheckpointError: .*nowhere\.pt"):
        train(run)
    assert (run.status.state, run.status.exit_code) == ("failed", 1)


def test_a_killed_process_is_told(tmp_path):
    run = started_run(tmp_path / "run", **LONG)
    process = TrainingProcess.of(run)
    wait_until(lambda: has_done(run, 1), "the first step")
    os.kill(run.status.pid, signal.SIGKILL)
    wait_until(lambda: not process.runs(), "its end")
    with pytest.raises(RunError, match=KILLED):
        process.check_end()
    assert run.status.state == "training"  # it had no time to say anything else


class Interrupted(TrainingProcess):
    """A process whose follower is interrupted at once."""

    def __init__(self, run):
        super().__init__(run, None, None, 0)
        self.asked = 0

    def runs(self):
        raise KeyboardInterrupt

    def new_text(self):
        return ""

    def ask_to_stop(self):
        self.asked += 1


@pytest.mark.parametrize(("watched", "asked"), [(False, 1), (True, 0)])
def test_an_interrupt_leaves_the_choice_to_who_watches(tmp_path, monkeypatch, capsys, watched, asked):
    process, shown = Interrupted(started_run(tmp_path / "run")), []
    monkeypatch.setattr(following.TrainingProcess, "of", lambda run: process)
    monkeypatch.setattr(following, "display", shown.append)
    monkeypatch.setattr(following, "someone_watches", lambda: watched)
    with pytest.raises(KeyboardInterrupt):
        train(process.run)
    assert process.asked == asked
    said = capsys.readouterr().out
    if watched:
        assert "training goes on. Run this cell again" in said
        assert isinstance(shown[-1], ipywidgets.Button)
        shown[-1].click()
        assert process.asked == 1
        assert (shown[-1].disabled, shown[-1].description) == (True, "asked to stop")
    else:
        assert "asked to save and stop" in said


def test_who_watches_sees_a_plot_and_a_bar(tmp_path, monkeypatch, capsys):
    run = started_run(tmp_path / "run")
    shown = []
    monkeypatch.setattr(following, "display", shown.append)
    monkeypatch.setattr(following, "someone_watches", lambda: True)
    train(run)
    assert bytes(shown[0].value).startswith(b"\x89PNG")
    assert "step      6  validation" in capsys.readouterr().out
