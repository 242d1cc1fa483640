"""Cells that train: they start or find a process, show how it goes, and say how it ended."""

import os
import signal
import subprocess
import sys
import threading
import time

import ipywidgets
import pytest

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.runs.status import UNDER_WAY, AlreadyTrained, is_owned, owned
from maskrf_core.support.errors import RunError, SettingsError
from maskrf_core.training.process.protocol import ExitCode, TrainingStopped
from maskrf_core.training.process.training_process import KILLED, TrainingProcess
from maskrf_core.training.saved_states import steps_done
from maskrf_core.workbook.experiments import following
from maskrf_core.workbook.experiments.following import WaitInterrupted, train, wait_for, watch
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
    assert run.status.state in UNDER_WAY  # it had no time to say anything else


def test_an_interrupt_that_nobody_watches_saves_and_stops(tmp_path, monkeypatch, capsys):
    run, looks = started_run(tmp_path / "run", **LONG), []

    def look(process, runs=TrainingProcess.runs):
        looks.append(has_done(process.run, 1))
        if looks[-1] and not any(looks[:-1]):
            raise KeyboardInterrupt
        return runs(process)

    monkeypatch.setattr(TrainingProcess, "runs", look)
    with pytest.raises(TrainingStopped, match=r"after [0-9]+ of 5000 steps\. All is saved"):
        train(run)
    assert "asked to save and stop" in capsys.readouterr().out
    assert not is_owned(run.folder)
    assert steps_done(run) >= 1


def test_what_was_never_begun_is_not_waited_for(tmp_path):
    with pytest.raises(RunError, match="nothing has trained it yet"):
        wait_for(started_run(tmp_path / "run"))


class TestOpenNotebook:
    """What is displayed is caught, and the widgets are looked at instead."""

    @pytest.fixture
    def shown(self, monkeypatch):
        shown = []
        monkeypatch.setattr(following, "display", shown.append)
        monkeypatch.setattr(following, "in_watched_notebook", lambda: True)
        return shown

    def test_a_cell_returns_at_once_and_a_later_one_waits(self, smoke_run, tmp_path, shown):
        run = started_run(tmp_path / "run")
        begun = time.monotonic()
        assert train(run) is None
        assert time.monotonic() - begun < 5
        assert "starting" in text_of(shown[0])
        train(run)
        watch(run)
        assert shown[0] is shown[1] is shown[2]
        wait_for(run)
        assert_same_bits(run, smoke_run)
        wait_until(lambda: "done: all 6 steps" in text_of(shown[0]), "the end in the view", 10)
        assert "validation at step 6" in text_of(shown[0])
        assert "step      6  validation" in text_of(shown[0])
        assert text_of(shown[0]).count("data:image/png") == 1
        assert text_of(shown[0]).count("data:image/jpeg") == 2

    def test_interrupted_waiting_leaves_the_training_and_its_button(self, tmp_path, shown, monkeypatch):
        run = started_run(tmp_path / "run", **LONG | {"training__checkpoint_every": 1})
        train(run)
        wait_until(lambda: has_done(run, 2), "the second step")
        with monkeypatch.context() as patch:
            patch.setattr(following.time, "sleep", interrupt)
            with pytest.raises(WaitInterrupted, match=r"saved at step [1-9]") as interrupted:
                wait_for(run)
        assert len(str(interrupted.value).splitlines()) == 1
        assert is_owned(run.folder)
        (button,) = [each for each in parts(shown[0]) if isinstance(each, ipywidgets.Button)]
        button.click()
        wait_until(lambda: "stopped: saved at step" in text_of(shown[0]), "the stop in the view")
        with pytest.raises(TrainingStopped):
            wait_for(run)

    def test_another_kernel_sees_how_it_ended(self, tmp_path, shown, monkeypatch):
        run = started_run(tmp_path / "run", training__initial_weights=str(tmp_path / "nowhere.pt"))
        train(run)
        with pytest.raises(RunError, match="nowhere"):
            wait_for(run)
        monkeypatch.setattr(following, "_shown", {})
        watch(run)
        assert "failed" in text_of(shown[-1])
        assert "nowhere.pt" in text_of(shown[-1])


def interrupt(seconds, sleep=time.sleep):
    """Sleep in a thread; in the main one, be interrupted."""
    if threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt
    sleep(seconds)


def parts(widget):
    """A widget and all that is in it."""
    return [widget, *(part for child in getattr(widget, "children", ()) for part in parts(child))]


def text_of(widget):
    return "\n".join(part.value for part in parts(widget) if isinstance(part, ipywidgets.HTML))


def test_an_aggregator_of_the_notebook_is_not_sent_to_another_process(tmp_path):
    run = started_run(tmp_path / "run", model__aggregator="__main__:Mine")
    with pytest.raises(SettingsError, match="here=True"):
        train(run)
