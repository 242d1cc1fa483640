"""Small trainings that several tests look at."""

import pytest

from tests.workbook.small_trainings import small_finetuning


@pytest.fixture
def smoke(monkeypatch):
    """Every config at the size of seconds."""
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    monkeypatch.delenv("MASKRF_RUNS", raising=False)


@pytest.fixture(scope="session")
def finetuned(tmp_path_factory):
    """Parameters of 04 with two steps, and their run, pretrained and finetuned."""
    return small_finetuning(tmp_path_factory.mktemp("runs"))
