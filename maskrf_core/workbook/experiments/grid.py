"""A grid of trainings: which points it has, where they are, and how far each is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from maskrf_core.runs import Run
from maskrf_core.runs.log import latest, latest_by_scene
from maskrf_core.runs.provenance import MERGED, cost
from maskrf_core.runs.run import hold_to_weights
from maskrf_core.settings.config import Config
from maskrf_core.training.preflight import check_masking
from maskrf_core.training.saved_states import is_done, steps_done
from maskrf_core.workbook.experiments.grid_statistics import NONE
from maskrf_core.workbook.experiments.trainings import ONE_SCHEDULE, checked_start
from maskrf_core.workbook.parameters import AblationParameters
from maskrf_core.workbook.parameters.notebook_parameters import USUAL_STRATEGY, folder_name
from maskrf_core.workbook.parameters.parameters_by_notebook import varied_in


@dataclass(frozen=True)
class GridPoint:
    """One pretraining and the finetuning after it."""

    mask_ratio: float
    strategy: str
    seed: int
    varied: dict[str, Any]  # dotted name → value of what is varied; without masking's where nothing is masked
    folder: Path
    configs: tuple[Config, Config]  # of pretraining and finetuning

    @property
    def runs(self) -> tuple[Run, Run]:
        """Return the run with masks and the one after it."""
        return Run(self.folder / "pretrain"), Run(self.folder / "finetune")

    pretrained = property(lambda point: point.runs[0])
    finetuned = property(lambda point: point.runs[1])

    @property
    def steps(self) -> tuple[int, int]:
        """Return the steps of pretraining and finetuning that are asked for."""
        return tuple(config.training.steps for config in self.configs)

    @property
    def name(self) -> str:
        """Spell the point for people."""
        strategy = [] if self.strategy in (NONE, USUAL_STRATEGY) else [self.strategy]
        varied = [f"{name}={value}" for name, value in self.varied.items()]
        return ", ".join([f"ratio {self.mask_ratio:g}", *strategy, f"seed {self.seed}", *varied])

    @property
    def described(self) -> dict[str, Any]:
        """Return the point as columns of a table."""
        return {"mask_ratio": self.mask_ratio, "strategy": self.strategy, "seed": self.seed, **self.varied}

    def done(self) -> tuple[int, int]:
        """Count the steps of both that are done."""
        return tuple(steps_done(run) if run.config_path.is_file() else 0 for run in self.runs)

    def is_finished(self) -> bool:
        """Say whether nothing is left to do."""
        enough = all(done >= asked for done, asked in zip(self.done(), self.steps, strict=True))
        return enough and all(is_done(run) for run in self.runs)


def plan(parameters: AblationParameters) -> list[GridPoint]:
    """List every point of the grid, in the order of seeds, varied settings, ratios and strategies; write nothing.

    Where nothing is masked, neither the strategy nor any other setting of masking matters: these share a point.

    Raises:
        SettingsError: one of the ratios would mask nothing, though it is not 0.
    """
    every = product(parameters.seed_list, parameters.combinations, parameters.ratios, parameters.strategy_list)
    points = {}
    for seed, varied, ratio, strategy in every:
        point = _point(parameters, ratio, strategy, seed, varied)
        points.setdefault(point.folder, point)
    for point in points.values():  # all of them, before the first is trained
        check_masking(point.configs[0])
    return list(points.values())


def begin(points: Sequence[GridPoint]) -> None:
    """Make the run folders that are missing, and look whether those that are there are what is asked for.

    Raises:
        RunError: a folder holds another run, or a finetuning began from other weights than its pretraining ended with.
        SettingsError, DatasetError: a training could not begin.
    """
    for point in points:
        for run, config in zip(point.runs, point.configs, strict=True):
            checked_start(run.folder, config)
        weights = point.pretrained.last_checkpoint
        if "initial_weights" in point.finetuned.results() and weights.is_file():
            hold_to_weights(point.finetuned, weights)


def grid_steps(parameters: AblationParameters) -> tuple[int, int]:
    """Return the steps of pretraining and of finetuning of a point: as asked for, or a quarter of the preset's."""
    asked = {"pretrain": parameters.pretrain_steps, "finetune": parameters.finetune_steps}
    return tuple(steps or max(1, parameters.config(stage).training.steps // 4) for stage, steps in asked.items())


def overview(points: Sequence[GridPoint]) -> pd.DataFrame:
    """Tabulate a row a point: what it is, and how many of its steps are done."""
    rows = []
    for point in points:
        done, asked = point.done(), point.steps
        steps = {name: f"{done[i]} of {asked[i]} steps" for i, name in enumerate(("pretraining", "finetuning"))}
        state = "finished" if done >= asked else "begun" if any(done) else "to do"
        rows.append(point.described | steps | {"state": state})
    return pd.DataFrame(rows)


def scores(points: Sequence[GridPoint]) -> pd.DataFrame:
    """Tabulate fine PSNR and SSIM of every point at its end on its VALIDATION scenes (test scenes choose nothing), PSNR
    also by scene, its steps of both stages, and the cost of both; unknown where that of one stage is."""
    rows = []
    for point in points:
        metrics = point.finetuned.metrics()
        row = point.described | {"steps": sum(run.config.training.steps for run in point.runs)}
        row |= {name: latest(metrics, "validation", f"fine_{name}") for name in ("psnr", "ssim")}
        row["psnr_by_scene"] = latest_by_scene(metrics)
        costs = [cost(run.folder) for run in point.runs]
        for name, merge in MERGED.items():
            known = [one[name] for one in costs]
            row[name] = None if None in known else merge(known)
        rows.append(row)
    return pd.DataFrame(rows)


def _point(parameters: AblationParameters, ratio: float, strategy: str, seed: int, varied: dict[str, Any]) -> GridPoint:
    """Make a point; masking is left out of it where nothing is masked.

    All of a point's steps have one schedule, whatever is masked.
    """
    steps = grid_steps(parameters)
    asked = {
        "masking.mask_ratio": ratio,
        "training.steps": steps[0],
        "training.seed": seed,
    }
    pretraining = parameters.config("pretrain", asked | {"masking.strategy": strategy} | varied)
    if not pretraining.masking.masks:
        strategy, varied = NONE, varied_in("finetune", varied)
        pretraining = parameters.config("pretrain", asked | {"masking.strategy": USUAL_STRATEGY} | varied)
    of_strategy = [] if strategy in (NONE, USUAL_STRATEGY) else [f"strategy={strategy}"]
    values = [",".join(f"{name}={value}" for name, value in varied.items())] if varied else []
    parts = [f"ratio={ratio:g}", *of_strategy, f"seed={seed}", f"steps={steps[0]}+{steps[1]}", *values]
    folder = parameters.run_folder("ratios") / folder_name(parts)
    asked = {
        "training.steps": steps[1],
        "training.seed": seed,
        "training.initial_weights": str(Run(folder / "pretrain").last_checkpoint),
        **ONE_SCHEDULE,
        **varied_in("finetune", varied),
    }
    return GridPoint(ratio, strategy, seed, varied, folder, (pretraining, parameters.config("finetune", asked)))
