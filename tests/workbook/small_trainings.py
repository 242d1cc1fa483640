"""Trainings of a few steps that tests look at."""

from pathlib import Path

import pytest

from maskrf_core.runs import Run
from maskrf_core.workbook.experiments import trainings
from maskrf_core.workbook.parameters import FinetuneParameters


def small_finetuning(runs_root: Path) -> tuple[FinetuneParameters, Run]:
    """Parameters of 04 with two steps, and their run, pretrained and finetuned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKRF_SMOKE", "1")
        patch.delenv("MASKRF_RUNS", raising=False)
        parameters = FinetuneParameters(runs_root=str(runs_root), steps=2)
        run = trainings.finetuning(parameters, trainings.weights_to_finetune(parameters))
        return parameters, trainings.trained(run)
