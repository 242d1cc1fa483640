"""RANK and WORLD_SIZE that pods, nodes and shells leave in the environment make no process one of several."""

import pytest

from maskrf_core.runs.status import owned
from maskrf_core.training.__main__ import train
from maskrf_core.training.process.protocol import (
    ExitCode,
    place_among_processes,
    training_environment,
)
from tests.training.processes import PATIENCE, spawn, started_run

LEFT = [
    {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"},
    {"RANK": "", "WORLD_SIZE": "", "LOCAL_RANK": ""},
    {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "job-master-0", "MASTER_PORT": "23456", "PET_NNODES": "4"},
    {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_LOCALID": "1", "SLURM_JOB_NAME": "interactive"},
    {"TORCHELASTIC_RUN_ID": "", "RANK": "1", "WORLD_SIZE": "2"},
    {"TORCHELASTIC_RUN_ID": "none", "RANK": "", "WORLD_SIZE": ""},
    {"TORCHELASTIC_RUN_ID": "none"},
]


def leave(monkeypatch, places):
    for name, value in places.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("places", LEFT)
def test_what_torchrun_did_not_start_is_alone(monkeypatch, places):
    leave(monkeypatch, places)
    assert place_among_processes() == (0, 1)


def test_what_torchrun_started_has_its_place(monkeypatch):
    leave(monkeypatch, {"TORCHELASTIC_RUN_ID": "none", "RANK": "3", "WORLD_SIZE": "8"})
    assert place_among_processes() == (3, 8)


def test_what_a_process_starts_does_not_inherit_its_place(monkeypatch):
    mine = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "2", "PET_MAX_RESTARTS": "9", "MASTER_PORT": "1"}
    leave(monkeypatch, mine | {"SLURM_JOB_ID": "7", "OMP_NUM_THREADS": "1"})
    started = training_environment()
    assert not started.keys() & mine.keys()
    assert (started["SLURM_JOB_ID"], started["OMP_NUM_THREADS"]) == ("7", "1")


@pytest.mark.parametrize("places", LEFT[:2])
def test_a_second_start_finds_the_run_taken(tmp_path, monkeypatch, places):
    leave(monkeypatch, places)
    run = started_run(tmp_path / "run")
    with owned(run.folder):
        assert train(run.folder) is ExitCode.TRAINED_ELSEWHERE
    assert run.metrics().empty


def test_a_training_beside_left_places_is_one_like_any_other(tmp_path, monkeypatch):
    run = started_run(tmp_path / "run", training__steps=2, training__log_every=1, training__validate_every=2)
    processes = [spawn(run, RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2") for rank in ("", "1")]
    codes = sorted(process.wait(PATIENCE) for process in processes)
    assert codes == [ExitCode.FINISHED, ExitCode.TRAINED_ELSEWHERE]
    assert list(run.metrics()["step"]) == [1, 2, 2]
