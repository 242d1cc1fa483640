"""provenance.json knows each training process of a run, those that were killed included."""

import json
import os

import pytest
import torch

from maskrf_core.runs import Run
from maskrf_core.runs.log import RunLog
from maskrf_core.settings.config import load_config
from maskrf_core.training import reporting
from maskrf_core.training.process.protocol import ExitCode, TrainingStopped

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path):
    return Run.start(tmp_path / "run", load_config("pretrain", "demo"))


def noted(run):
    return json.loads((run.folder / "provenance.json").read_text(encoding="utf-8"))


def trained(run, from_step, to_step, error=None, **data):
    """A session that does these steps, and ends by an error."""
    done = [from_step]
    with reporting.record_session(run, data, lambda: done[0], CPU):
        done[0] = to_step
        if error:
            raise error


def test_a_session_says_what_it_was_did_and_cost(run):
    done, data = [0], {"demo/train_00": "abc"}
    with reporting.record_session(run, data, lambda: done[0], CPU):
        (begun,) = noted(run)["sessions"]
        assert (begun["from_step"], begun["processes"], begun["device"], begun["pid"]) == (0, 1, "cpu", os.getpid())
        assert begun["exit"] is begun["ended"] is begun["to_step"] is None
        done[0] = 120
    (ended,) = noted(run)["sessions"]
    assert ended.items() >= {"to_step": 120, "exit": "finished", "reason": None, "gpu_peak_memory_mib": None}.items()
    assert 0 <= ended["wall_seconds"] < 60
    assert 100 < ended["peak_memory_mib"] < 100_000
    assert ended["ended"] >= ended["started"]
    assert all(ended[name] for name in ("command", "host", "processor", "versions", "threads"))
    assert noted(run)["data"] == {"demo/train_00": "abc"}
    assert noted(run)["config"]["training"]["steps"] == 120


def test_a_killed_session_is_noted_by_the_next(run):
    reporting.begin_session(run, 0, {}, CPU)
    log = RunLog(run, 0)
    log.write(40, "train", {"total": 1.0})
    log.close()
    with pytest.raises(TrainingStopped):
        trained(run, 20, 60, TrainingStopped("SIGTERM", ExitCode.SIGTERM))
    killed, stopped = noted(run)["sessions"]
    assert (killed["exit"], killed["to_step"], killed["ended"]) == ("killed", 40, None)
    assert 0 <= killed["wall_seconds"] < 60
    assert (stopped["exit"], stopped["reason"], stopped["from_step"]) == ("stopped", "SIGTERM", 20)
    reporting.begin_session(run, 60, {}, CPU)
    assert [session["exit"] for session in noted(run)["sessions"]] == ["killed", "stopped", None]


def test_settings_are_noted_again_only_where_they_are_others(run):
    trained(run, 0, 120)
    Run.start(run.folder, load_config("pretrain", "demo", {"training.steps": 200}))
    trained(run, 120, 200)
    first, second = noted(run)["sessions"]
    assert first["config"] is None
    assert second["config"]["training"]["steps"] == 200


def test_data_are_held_to_those_of_the_first_session(run, capsys):
    trained(run, 0, 1, a="1", b="2")
    trained(run, 0, 1, a="1", b="3", c="4")
    assert [session["changed_data"] for session in noted(run)["sessions"]] == [[], ["b"]]
    assert capsys.readouterr().out.startswith("b: is not what it was when this run began")
    assert noted(run)["data"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize("left", [None, '{"started": "2026'])
def test_a_run_without_a_provenance_that_can_be_read_gets_one(run, left):
    path = run.folder / "provenance.json"
    path.unlink()
    if left:
        path.write_text(left, encoding="utf-8")
    with pytest.raises(ValueError, match="not finite"):
        trained(run, 3, 4, ValueError("a loss is not finite"))
    (session,) = noted(run)["sessions"]
    assert (session["to_step"], session["exit"], session["reason"]) == (4, "failed", "a loss is not finite")
    assert (run.folder / "provenance.damaged.json").exists() == bool(left)


def test_a_file_that_cannot_be_written_is_said_and_stops_nothing(run, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reporting, "write_json", full)
    trained(run, 0, 1)
    assert capsys.readouterr().out.count("provenance.json: could not be written (No space left on device)") == 2
