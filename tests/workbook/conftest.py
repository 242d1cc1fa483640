"""Small trainings that several tests look at."""

import pytest

from maskrf_core.workbook import experiments
from maskrf_core.workbook.parameters import FinetuneParameters


@pytest.fixture
def smoke(monkeypatch):
    """Every config at the size of seconds."""
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    monkeypatch.delenv("MASKRF_RUNS", raising=False)


@pytest.fixture(scope="session")
def finetuned(tmp_path_factory):
    """Parameters of 04 with two steps, and their run, pretrained and finetuned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKRF_SMOKE", "1")
        patch.delenv("MASKRF_RUNS", raising=False)
        parameters = FinetuneParameters(runs_root=str(tmp_path_factory.mktemp("runs")), steps=2)
        run = experiments.finetuning(parameters, experiments.pretrained_weights(parameters))
        return parameters, experiments.trained(run)
