"""The two settings of 04: finetuning across scenes, beside training from scratch; and on one scene, before and after.

Both offer the same to the notebook: the run, what it is compared with, curves, and what is recorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import pandas as pd
from matplotlib.figure import Figure

from maskrf_core.runs import Run
from maskrf_core.workbook.experiments import experiments
from maskrf_core.workbook.experiments.following import train
from maskrf_core.workbook.figures import plots
from maskrf_core.workbook.parameters.parameters import FinetuneParameters

FINETUNED, SCRATCH = "masked-pretrained, then finetuned", "from scratch"
BEFORE, AFTER = "before: trained across scenes", "after: finetuned on the scene"


@dataclass(frozen=True)
class Compared:
    """What renders beside others: a run or a checkpoint, and where its pictures go."""

    source: Run | Path
    pictures: Path


@runtime_checkable  # so that the tests' type checker can check results
class Finetuning(Protocol):
    """What the notebook sees of a setting."""

    weights: Path
    """The checkpoint that the run begins from."""
    run: Run
    split: Literal["validation", "test"]
    """The views that are looked at."""
    runs: dict[str, Run]
    """`run`, and those that were trained to be compared with it, by name."""

    def compared(self) -> dict[str, Compared]:
        """What renders, by name, in the order of the pictures; what is missing is trained now."""
        ...

    def psnr_curve(self) -> Figure:
        """How it went by the views of `split`."""
        ...

    def loss_curve(self) -> Figure:
        """How the losses went."""
        ...

    def record(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Keep the mean of each table, by name of what was compared, in the folder of the run."""
        ...


class CrossScene:
    """Finetuning across scenes; compared with training from random weights for as many steps in all."""

    split = "validation"

    def __init__(self, parameters: FinetuneParameters):
        self.parameters = parameters
        self.weights = experiments.pretrained_weights(parameters)
        self.run = experiments.finetuning(parameters, self.weights)
        self.runs = {FINETUNED: self.run}

    def compared(self) -> dict[str, Compared]:
        if self.parameters.from_scratch_too:
            self.runs[SCRATCH] = experiments.from_scratch(self.parameters, experiments.total_steps(self.run))
            train(self.runs[SCRATCH])
        return {name: Compared(run, run.renders / self.split) for name, run in self.runs.items()}

    def psnr_curve(self) -> Figure:
        return plots.validation_curves(experiments.histories(self.runs))

    def loss_curve(self) -> Figure:
        return plots.colour_curves(experiments.histories(self.runs))

    def record(self, tables: Mapping[str, pd.DataFrame]) -> None:
        for name, run in self.runs.items():
            views = {"total_steps": experiments.total_steps(run), "views": len(tables[name])}
            run.record("04_finetune", views | means(tables[name]))


class PerScene:
    """Finetuning on one scene; compared with what it began from. Its test views are only looked at, never chosen by."""

    split = "test"

    def __init__(self, parameters: FinetuneParameters):
        self.weights = experiments.weights_across_scenes(parameters)
        self.run = experiments.per_scene(parameters, self.weights)
        self.runs = {AFTER: self.run}

    def compared(self) -> dict[str, Compared]:
        before = Compared(self.weights, self.run.renders / "before")
        return {BEFORE: before, AFTER: Compared(self.run, self.run.renders / self.split)}

    def psnr_curve(self) -> Figure:
        return plots.test_curve(self.run.metrics())

    def loss_curve(self) -> Figure:
        return plots.loss_curves(self.run.metrics())

    def record(self, tables: Mapping[str, pd.DataFrame]) -> None:
        views = {"total_steps": experiments.total_steps(self.run), "views": len(tables[AFTER])}
        self.run.record("04_finetune", views | means(tables[AFTER]) | {"before": means(tables[BEFORE])})


SETTINGS: dict[str, type[CrossScene] | type[PerScene]] = {"cross_scene": CrossScene, "per_scene": PerScene}


def chosen(parameters: FinetuneParameters) -> Finetuning:
    """The setting that the parameters ask for; what its run begins from is trained if it is missing, the run is not."""
    return SETTINGS[parameters.setting](parameters)


def means(table: pd.DataFrame) -> dict[str, float]:
    """Mean PSNR and SSIM of the fine pass."""
    return {metric: float(table[f"fine_{metric}"].mean()) for metric in ("psnr", "ssim")}
