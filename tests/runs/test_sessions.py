"""provenance.json knows each training process of a run, those that were killed included."""

import json
import os

import pytest

from maskrf_core.runs import Run
from maskrf_core.runs.log import RunLog
from maskrf_core.runs.sessions import begin_session
from maskrf_core.settings.config import load_config


@pytest.fixture
def run(tmp_path):
    return Run.start(tmp_path / "run", load_config("pretrain", "demo"))


def noted(run):
    return json.loads((run.folder / "provenance.json").read_text(encoding="utf-8"))


def test_a_session_says_what_it_was_did_and_cost(run):
    session = begin_session(run, from_step=0, processes=2, device="cpu", data={"demo/train_00": "abc"})
    (begun,) = noted(run)["sessions"]
    assert (begun["from_step"], begun["processes"], begun["device"], begun["pid"]) == (0, 2, "cpu", os.getpid())
    assert begun["exit"] is begun["ended"] is begun["to_step"] is None
    session.end(to_step=120, exit="finished")
    (ended,) = noted(run)["sessions"]
    assert ended.items() >= {"to_step": 120, "exit": "finished", "reason": None, "gpu_peak_memory_mib": None}.items()
    assert 0 <= ended["wall_seconds"] < 60
    assert 100 < ended["peak_memory_mib"] < 100_000
    assert ended["ended"] >= ended["started"]
    assert all(ended[name] for name in ("command", "host", "processor", "versions", "threads"))
    assert noted(run)["data"] == {"demo/train_00": "abc"}
    assert noted(run)["config"]["training"]["steps"] == 120


def test_a_killed_session_is_noted_by_the_next(run):
    begin_session(run, from_step=0)
    log = RunLog(run, 0)
    log.write(40, "train", {"total": 1.0})
    log.close()
    last = begin_session(run, from_step=20)
    last.end(to_step=60, exit="stopped", reason="SIGTERM")
    killed, stopped = noted(run)["sessions"]
    assert (killed["exit"], killed["to_step"], killed["ended"]) == ("killed", 40, None)
    assert 0 <= killed["wall_seconds"] < 60
    assert (stopped["exit"], stopped["reason"], stopped["from_step"]) == ("stopped", "SIGTERM", 20)
    begin_session(run, from_step=60)
    assert [session["exit"] for session in noted(run)["sessions"]] == ["killed", "stopped", None]


def test_settings_are_noted_again_only_where_they_are_others(run):
    begin_session(run, from_step=0).end(to_step=120, exit="finished")
    Run.start(run.folder, load_config("pretrain", "demo", {"training.steps": 200}))
    begin_session(run, from_step=120)
    first, second = noted(run)["sessions"]
    assert first["config"] is None
    assert second["config"]["training"]["steps"] == 200


def test_data_are_held_to_those_of_the_first_session(run):
    assert begin_session(run, from_step=0, data={"a": "1", "b": "2"}).changed_data == []
    continued = begin_session(run, from_step=0, data={"a": "1", "b": "3", "c": "4"})
    assert continued.changed_data == ["b"]
    assert noted(run)["sessions"][1]["changed_data"] == ["b"]
    assert noted(run)["data"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize("left", [None, '{"started": "2026'])
def test_a_run_without_a_provenance_that_can_be_read_gets_one(run, left):
    path = run.folder / "provenance.json"
    path.unlink()
    if left:
        path.write_text(left, encoding="utf-8")
    begin_session(run, from_step=3).end(to_step=4, exit="failed", reason="a loss is not finite")
    assert noted(run)["sessions"][0]["to_step"] == 4
    assert (run.folder / "provenance.damaged.json").exists() == bool(left)


def test_a_file_that_cannot_be_written_is_said_and_stops_nothing(run, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("maskrf_core.runs.sessions.write_json", full)
    begin_session(run, from_step=0).end(to_step=1, exit="finished")
    assert capsys.readouterr().out.count("provenance.json: could not be written (No space left on device)") == 2
