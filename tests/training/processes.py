"""Training processes that tests start, signal and kill."""

import os
import subprocess
import time
from pathlib import Path
from typing import IO
from unittest import mock

import torch

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.training.process.protocol import training_command, training_environment
from maskrf_core.training.trainer import fit

SMOKE = {"MASKRF_SMOKE": "1"}
PATIENCE = 120
"""Seconds after which a test gives up on a process; the machine may be busy."""


def started_run(folder: Path, **settings) -> Run:
    """A run of a smoke-sized pretraining."""
    overrides = {name.replace("__", "."): value for name, value in settings.items()}
    with mock.patch.dict(os.environ, SMOKE):
        return Run.start(folder, load_config("pretrain", "demo", overrides))


def smoke_sized_training(folder: Path, **settings) -> Run:
    """Train such a run in this process."""
    run = started_run(folder, **settings)
    with mock.patch.dict(os.environ, SMOKE):
        fit(run)
    return run


def spawn(run: Run, said: IO[str] | int = subprocess.DEVNULL, **environment: str) -> subprocess.Popen:
    """`python -m maskrf_core.training` in a session of its own, which prints to `said`."""
    return subprocess.Popen(
        training_command([run.folder]),
        env=training_environment() | SMOKE | environment,
        stdout=said,
        stderr=said,
        start_new_session=True,
    )


def wait_until(condition, what: str, seconds: float = PATIENCE) -> None:
    """Poll; fail where it does not come true."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


def has_done(run: Run, steps: int) -> bool:
    """Whether the log of a run has come so far."""
    return run.metrics()["step"].max() >= steps


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    """Of the last checkpoint."""
    return read_our_checkpoint(run.last_checkpoint)["weights"]


def assert_same_bits(one: Run, other: Run) -> None:
    """Weights, optimiser, and everything in the log but the time."""
    ours, theirs = (read_our_checkpoint(run.last_checkpoint) for run in (one, other))
    assert ours["weights"].keys() == theirs["weights"].keys()
    assert all(torch.equal(ours["weights"][name], theirs["weights"][name]) for name in ours["weights"])
    moments, expected = (each["state"]["optimiser"]["state"] for each in (ours, theirs))
    assert moments.keys() == expected.keys()
    assert all(torch.equal(moments[i][kind], expected[i][kind]) for i in moments for kind in ("exp_avg", "exp_avg_sq"))
    logs = [run.metrics().drop(columns="seconds_per_step") for run in (one, other)]
    assert logs[0].equals(logs[1]), f"{logs[0]}\n{logs[1]}"
