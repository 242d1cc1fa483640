"""Trainings in the process of the notebook: the same bits, interruptible, with functions that only it has."""

import os
import signal
import sys

import pytest
import torch

from maskrf_core.model.renderer import Renderer
from maskrf_core.support.errors import SettingsError
from maskrf_core.training.process.protocol import ExitCode, TrainingStopped
from maskrf_core.workbook.experiments.following import train
from tests.training.processes import assert_same_bits, started_run


def test_a_training_here_is_that_of_a_process(smoke_run, tmp_path, capsys):
    run = started_run(tmp_path / "run")
    renderer = train(run, here=True)
    assert isinstance(renderer, Renderer)
    assert not renderer.training
    assert "step      6  validation" in capsys.readouterr().out
    assert_same_bits(run, smoke_run)


def test_an_interrupt_saves_and_stops(smoke_run, tmp_path, monkeypatch):
    """As a kernel sends it; afterwards it does again what it did, and the same cell goes on to the same bits."""
    run = started_run(tmp_path / "run", hardware__data_workers=0)
    before = signal.getsignal(signal.SIGINT)
    add = "maskrf_core.runs.log.MetricAverager.add"
    with monkeypatch.context() as patch:
        patch.setattr(add, lambda *_: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(TrainingStopped, match="stopped by SIGINT after 1 of 6 steps") as stopped:
            train(run, here=True)
    assert stopped.value.code == ExitCode.SIGINT
    assert signal.getsignal(signal.SIGINT) is before
    assert run.status.state == "stopped"
    train(run, here=True)
    ours, theirs = (torch.load(each.last_checkpoint, weights_only=True)["weights"] for each in (run, smoke_run))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_function_of_a_cell_is_trained_with_here_and_nowhere_else(tmp_path, monkeypatch):
    def my_mask(views, rays, samples, mask_ratio, *, generator):
        return torch.rand(views, rays, samples, generator=generator) < mask_ratio

    settings = {"masking__strategy": "__main__:my_mask", "training__steps": 2, "hardware__data_workers": 0}
    run = started_run(tmp_path / "run", **settings)
    with pytest.raises(SettingsError, match=r"another process cannot import it.*train\(run, here=True\)"):
        train(run)
    assert run.status is None
    monkeypatch.setattr(sys.modules["__main__"], "my_mask", my_mask, raising=False)
    train(run, here=True)
    assert run.metrics()["feature_alignment"].notna().any()
