"""A training that is asked to stop saves and ends within a step, with an exit code that says by what."""

import os
import signal

import pytest

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.training.process.protocol import ExitCode, TrainingStopped, asked_to_stop
from maskrf_core.training.trainer import Trainer, fit
from tests.training.processes import PATIENCE, assert_same_bits, has_done, spawn, started_run, wait_until

LONG = {"training__steps": 5000, "training__log_every": 1, "training__validate_every": 5000,
        "training__checkpoint_every": 5000}  # fmt: skip


@pytest.mark.parametrize(
    "code",
    [ExitCode.SIGUSR1, *(pytest.param(code, marks=pytest.mark.long) for code in (ExitCode.SIGTERM, ExitCode.SIGINT))],
)
def test_a_signal_saves_and_ends_within_a_step(tmp_path, code):
    run = started_run(tmp_path / "run", **LONG)
    process = spawn(run)
    try:
        wait_until(lambda: has_done(run, 3), "the third step")
        before = run.metrics()["step"].max()
        os.killpg(process.pid, getattr(signal, code.name))  # as Slurm and terminals do
        assert process.wait(PATIENCE) == code
    finally:
        process.kill()
    saved = read_our_checkpoint(run.last_checkpoint)["step"]
    assert before <= saved == run.metrics()["step"].max() <= before + 2  # one may end as the signal is sent
    assert (run.status.state, run.status.step, run.status.exit_code) == ("stopped", saved, code)
    assert f"stopped by {code.name} after {saved} of 5000 steps" in run.log_path.read_text()


def stops_at(run, step, monkeypatch, where="_train_step"):
    """Have a stop file appear when training is at a step."""
    wrapped = getattr(Trainer, where)

    def wrapper(trainer, *arguments):
        if trainer.step == step:
            run.stop_path.touch()
        return wrapped(trainer, *arguments)

    monkeypatch.setattr(Trainer, where, wrapper)


@pytest.mark.parametrize("step", [pytest.param(0, marks=pytest.mark.long), 2, pytest.param(4, marks=pytest.mark.long)])
def test_a_stop_file_stops_after_the_step_and_the_rest_is_the_same(smoke_run, tmp_path, monkeypatch, step):
    run = started_run(tmp_path / "run")
    with monkeypatch.context() as patch:
        stops_at(run, step, patch)
        with pytest.raises(TrainingStopped, match="a file named stop") as stopped:
            fit(run)
    assert stopped.value.code == ExitCode.STOP_FILE
    assert read_our_checkpoint(run.last_checkpoint)["step"] == step + 1
    assert not run.stop_path.exists()
    fit(run)
    assert_same_bits(run, smoke_run)


@pytest.mark.long
def test_a_validation_is_interrupted_and_made_up_for(tmp_path, monkeypatch):
    settings = {"training__validate_every": 3, "training__log_every": 2, "training__validation_views": 2}
    whole = started_run(tmp_path / "whole", **settings)
    fit(whole)
    run = started_run(tmp_path / "run", **settings)
    with monkeypatch.context() as patch:
        stops_at(run, 3, patch, "_judge")
        with pytest.raises(TrainingStopped):
            fit(run)
    assert read_our_checkpoint(run.last_checkpoint)["state"]["owes_validation"]
    assert (run.metrics()["phase"] == "validation").sum() == 0
    fit(run)
    assert_same_bits(run, whole)
    assert read_our_checkpoint(run.best_checkpoint)["step"] == read_our_checkpoint(whole.best_checkpoint)["step"]


def test_a_stop_file_from_before_does_not_count(tmp_path):
    run = started_run(tmp_path / "run", training__steps=1)
    run.stop_path.touch()
    fit(run)
    assert run.status.state == "finished"


def test_a_stop_file_of_while_the_job_waited_stops_before_anything_is_done(tmp_path, monkeypatch):
    run = started_run(tmp_path / "run", training__steps=1)
    run.stop_path.touch()
    put = run.stop_path.stat().st_mtime
    monkeypatch.setenv("MASKRF_SUBMITTED", repr(put - 1))
    with pytest.raises(TrainingStopped, match="while its job waited") as stopped:
        fit(run)
    assert stopped.value.code == run.status.exit_code == ExitCode.STOP_FILE
    assert run.status.state == "stopped"
    assert not run.last_checkpoint.exists()
    monkeypatch.setenv("MASKRF_SUBMITTED", repr(put + 1))  # queued again by a person afterwards
    fit(run)
    assert run.status.state == "finished"


def test_a_launcher_stops_all_that_it_started(tmp_path, monkeypatch):
    of_launcher = tmp_path / "all"
    monkeypatch.setenv("MASKRF_STOP", str(of_launcher))
    assert asked_to_stop(tmp_path / "stop") is None
    of_launcher.touch()
    assert asked_to_stop(tmp_path / "stop") is ExitCode.STOP_FILE


def test_exit_codes_differ_and_none_is_one_of_python_or_a_shell():
    assert len(set(ExitCode)) == len(ExitCode.__members__)
    assert all(code in (0, 1) or 64 < code < 126 for code in ExitCode)
