"""A training that is killed at any moment goes on to the same bits; damaged checkpoints are told and passed over."""

import errno
import os
import shutil
import subprocess
import sys

import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.runs import Run
from maskrf_core.runs.status import UNDER_WAY
from maskrf_core.support.errors import CheckpointError, RunError
from maskrf_core.training.process.protocol import SAVED_VARIABLE, training_environment
from maskrf_core.training.trainer import fit
from tests.tiers import KILLS, LONG
from tests.training.processes import SMOKE, assert_same_bits, smoke_sized_training, spawn, started_run, wait_until

STEPS = {
    "training__steps": 60 if LONG else 20,
    "training__log_every": 7,
    "training__validate_every": 25 if LONG else 12,
    "training__checkpoint_every": 4,
}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = started_run(tmp_path_factory.mktemp("runs") / "whole", **STEPS)
    return killed(run, 0, seed=0)[0]


def killed(run, kills, *, seed):
    """The run, done after so many kills at random moments, and how many there were."""
    command = [sys.executable, "-m", "tests.training.killing", str(run.folder), str(kills), str(seed)]
    done = subprocess.run(
        command, env=training_environment() | SMOKE, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stderr
    return run, int(done.stdout)


def test_kills_at_random_moments_change_no_bit(uninterrupted, tmp_path):
    run, hits = killed(started_run(tmp_path / "run", **STEPS), KILLS, seed=1)
    assert hits == KILLS
    assert_same_bits(run, uninterrupted)
    ours, theirs = (read_our_checkpoint(each.best_checkpoint)["weights"] for each in (run, uninterrupted))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.long
def test_the_command_goes_on_after_a_kill(tmp_path):
    settings = {"training__steps": 12, "training__checkpoint_every": 2, "training__log_every": 5}
    whole = started_run(tmp_path / "whole", **settings)
    assert spawn(whole).wait(120) == 0
    run = started_run(tmp_path / "run", **settings)
    process = spawn(run)
    wait_until(run.previous_checkpoint.is_file, "the second checkpoint")
    process.kill()
    process.wait()
    assert run.status.state in UNDER_WAY
    assert spawn(run).wait(120) == 0
    assert_same_bits(run, whole)


@pytest.fixture(scope="module")
def of_four_steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "four"
    return smoke_sized_training(folder, training__steps=4, training__checkpoint_every=2)


@pytest.fixture
def begun(of_four_steps, tmp_path):
    return Run.open(shutil.copytree(of_four_steps.folder, tmp_path / "run"))


def cut(path):
    path.write_bytes(path.read_bytes()[:-5000])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_checkpoint_is_told_and_the_one_before_continues(begun, capsys, damage):
    before = begun.metrics()
    expected = read_our_checkpoint(begun.last_checkpoint)["weights"]
    damage(begun.last_checkpoint)
    with pytest.raises(CheckpointError):
        read_our_checkpoint(begun.last_checkpoint)
    fit(begun)
    said = capsys.readouterr().out
    assert "last.pt" in said
    assert "continuing from previous.pt, 2 steps" in said
    weights = read_our_checkpoint(begun.last_checkpoint)["weights"]
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert begun.metrics().drop(columns="seconds_per_step").equals(before.drop(columns="seconds_per_step"))
    assert begun.last_checkpoint.with_name("damaged.pt").is_file()
    assert read_our_checkpoint(begun.previous_checkpoint)["step"] == 2


def test_two_damaged_checkpoints_stop_and_stay(begun):
    cut(begun.last_checkpoint)
    cut(begun.previous_checkpoint)
    with pytest.raises(CheckpointError, match=r"(?s)last\.pt.*previous\.pt"):
        fit(begun)
    assert begun.last_checkpoint.is_file()


@pytest.mark.parametrize("times", [1, 2])
def test_where_both_checkpoints_are_gone_what_they_left_is_kept(begun, capsys, times):
    metrics, best = begun.metrics_path.read_bytes(), begun.best_checkpoint.read_bytes()
    for number in range(1, times + 1):
        begun.last_checkpoint.unlink()
        begun.previous_checkpoint.unlink()
        fit(begun)
        assert "the training begins at step 0" in capsys.readouterr().out
        assert read_our_checkpoint(begun.last_checkpoint)["step"] == 4
        assert (begun.folder / f"metrics.lost{number}.csv").is_file()
    assert (begun.folder / "metrics.lost1.csv").read_bytes() == metrics
    assert begun.best_checkpoint.with_name("best.lost1.pt").read_bytes() == best


def full_disk(monkeypatch, after=0):
    """Checkpoints after the first few break off halfway, as on a full disk."""
    saved, save = [], torch.save

    def breaks_off(checkpoint, file):
        saved.append(checkpoint["step"])
        if len(saved) <= after:
            return save(checkpoint, file)
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", breaks_off)


def test_a_full_disk_keeps_the_last_good_checkpoint_and_says_so(smoke_run, tmp_path, monkeypatch, capsys):
    run, told = started_run(tmp_path / "run", training__checkpoint_every=2), tmp_path / "told"
    with monkeypatch.context() as patch:
        patch.setenv(SAVED_VARIABLE, str(told))
        full_disk(patch, after=1)
        with pytest.raises((RunError, OSError), match=r"No space left"):
            fit(run)
    said = capsys.readouterr().out
    assert "that of step 4 could not be written (No space left on device). The last good one is that of step 2." in said
    assert read_our_checkpoint(run.last_checkpoint)["step"] == 2
    assert told.read_text() == f"{run.folder} 2\n"
    assert not list(run.folder.rglob(".*"))  # nothing half written
    fit(run)
    assert_same_bits(run, smoke_run)
