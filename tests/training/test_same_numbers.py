"""The same seed on the same machine gives the same numbers, to the bit."""

import subprocess

import pandas as pd
import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.support.paths import ROOT
from maskrf_core.training.process.protocol import ALLOCATOR, training_command, training_environment


def trained(folder):
    """A run trained by a process of its own."""
    run = Run.start(folder, load_config("pretrain", "demo"))
    process = subprocess.run(
        training_command([folder]), env=training_environment(), capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return run


@pytest.mark.long
def test_two_processes_of_one_seed(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    one, other = trained(tmp_path / "one"), trained(tmp_path / "other")
    ours, theirs = (read_our_checkpoint(run.last_checkpoint)["weights"] for run in (one, other))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    numbers, others = (run.metrics().drop(columns="seconds_per_step") for run in (one, other))
    pd.testing.assert_frame_equal(numbers, others, check_exact=True)
    assert list(numbers[numbers["phase"] == "validation"]["step"]) == [6]


def test_the_makefile_sets_what_trainings_are_given():
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    assert {f"export {name} ?= {value}" for name, value in ALLOCATOR.items()} <= set(lines)
    assert training_environment().keys() >= ALLOCATOR.keys()
