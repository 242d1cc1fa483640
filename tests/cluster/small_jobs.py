"""Trainings of a few steps as jobs, and how far they are."""

import time

import pytest

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.slurm import parse_slurm

SLURM = "partition=test, cpus_per_task=1, timeout_min=60"
ONE_CORE = parse_slurm(SLURM)
DEADLINE = 240.0


def start(folder, stage="pretrain", **overrides):
    """A run that is validated at its end only, and whose steps need no second process."""
    values = {"training.validate_every": 1000, "hardware.data_workers": 0} | overrides
    return Run.start(folder, load_config(stage, "demo", values))


def weights(run):
    """Of its last checkpoint."""
    return read_our_checkpoint(run.last_checkpoint)["weights"]


def until_step(run, step, states=("training",)):
    """Wait until the process that trains a run now has brought it to a step."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        status = run.status
        if status is not None and status.state in states and status.step >= step:
            return
        time.sleep(0.1)
    pytest.fail(f"step {step} was not reached: {run.status}")
