"""The trainings that notebooks stand on: a run that is finished is not trained again, one that is missing is made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from matplotlib.figure import Figure

from maskrf_core.checkpoints.published_checkpoints import check_mvsnet_is_there, steps_of
from maskrf_core.checkpoints.published_files import SHIPPED, is_shipped
from maskrf_core.checkpoints.shipped_weights import read_weights
from maskrf_core.rendering.evaluation import resolve_device
from maskrf_core.runs import Run
from maskrf_core.runs.run import hold_to_weights
from maskrf_core.settings.config import Config, parse_overrides
from maskrf_core.settings.sections import RECIPE
from maskrf_core.support.errors import RunError, SettingsError
from maskrf_core.support.paths import display_path
from maskrf_core.training.preflight import open_checked_scenes, with_validation
from maskrf_core.training.saved_states import hands_on_optimiser, is_done, steps_done
from maskrf_core.workbook.experiments.following import train, wait_for
from maskrf_core.workbook.figures import plots
from maskrf_core.workbook.parameters import FinetuneParameters, NotebookParameters, PretrainParameters
from maskrf_core.workbook.parameters.notebook_parameters import Parameters

COMMON = ("preset", "data_root", "runs_root", "seed", "device")
OF_TRAINING = (*COMMON, "overrides", "working_views", "train_scenes", "validation_scenes", "devices", "num_nodes")
ONE_SCHEDULE = {"training.schedule": "continue", "training.optimiser": "handed_on"}
"""Settings of a finetuning that goes on where pretraining ended, so that it compares with a training from scratch: its
learning rate is the same at every step, and so is its optimiser."""
FINETUNED, SCRATCH = "masked-pretrained, then finetuned", "from scratch"
BEFORE, AFTER = "before: trained across scenes", "after: finetuned on the scene"


def pretraining(parameters: PretrainParameters) -> Run:
    """Make the run folder that the parameters of 03 ask for; nothing is trained yet."""
    asked = {}
    if parameters.pretrained is not None:
        path = parameters.weights_path(parameters.pretrained)
        asked = _begun_from(path if path.is_file() else Run.open(path).last_checkpoint)
    return checked_start(_folder(parameters, "pretrain"), parameters.config("pretrain", asked))


def finetuning(parameters: FinetuneParameters, weights: Path) -> Run:
    """Make the run folder of finetuning from `weights`, across scenes or on one; nothing is trained yet.

    Where it is to be compared with training from scratch, it goes on by one schedule; else it restarts, as published,
    and as weights that ship do: whoever compares them trains from scratch for the same minutes, not for their hours.
    Weights that come without the state of their optimiser, as published ones do, begin with a fresh one.

    Raises:
        RunError: the folder holds a run that began from other weights.
    """
    stage, asked = "finetune", _begun_from(weights)
    if parameters.setting == "per_scene":
        stage = "per_scene"
        asked["data.train_scenes"] = parameters.scene and [parameters.scene]
    elif parameters.from_scratch_too and not is_shipped(weights):
        if (before := _existing(weights.parent.parent)) is not None:
            _check_it_compares(before)
        asked |= ONE_SCHEDULE | ({} if hands_on_optimiser(weights) else {"training.optimiser": "fresh"})
    run = checked_start(_folder(parameters, stage), parameters.config(stage, asked))
    hold_to_weights(run, weights)
    return run


def from_scratch(parameters: FinetuneParameters, steps: int) -> Run:
    """Make the run folder of training without pretraining for `steps` in all; nothing is trained yet."""
    like = SHIPPED.get(parameters.pretrained or "")
    config = parameters.config("finetune", {"training.steps": steps} | (_model_of(like) if like else {}))
    return checked_start(_folder(parameters, "from_scratch"), config)


def weights_to_finetune(parameters: FinetuneParameters) -> Path:
    """Return the checkpoint `pretrained`, or that of the run before, which is trained if it is missing.

    Across scenes that is the last one of 03; on one scene the best one of 04, at its defaults but for the model.
    """
    one_scene = parameters.setting == "per_scene"
    if parameters.pretrained is not None:
        path = parameters.weights_path(parameters.pretrained)
        if path.is_file():
            return path
        run = Run.open(path)
    elif one_scene:
        run = trained(_finetuned(_defaults_but_for_the_model(parameters)))
    else:
        run = trained(pretraining(handed_on(parameters, PretrainParameters, OF_TRAINING)))
    return run.weights if one_scene else run.last_checkpoint


def _defaults_but_for_the_model(parameters: NotebookParameters) -> FinetuneParameters:
    """Return the parameters of 04 as they are by default, with the settings of the model that are asked for here."""
    given = parse_overrides(parameters.overrides).items()
    of_model = ", ".join(f"{name}={value}" for name, value in given if name.startswith("model."))
    return handed_on(parameters, FinetuneParameters, COMMON).model_copy(update={"overrides": of_model})


def finetuned_runs(parameters: NotebookParameters) -> dict[str, Run]:
    """Return the two runs of 04 (its defaults but for the model), by method, as far as they are trained to the end."""
    asked = _defaults_but_for_the_model(parameters)
    folders = {f"finetuned {SCRATCH}": _folder(asked, "from_scratch"), FINETUNED: _folder(asked, "finetune")}
    existing = {name: run for name, folder in folders.items() if (run := _existing(folder)) and is_done(run)}
    for run in existing.values():
        _check_it_compares(run)
    return existing


def checked_start(folder: Path, config: Config) -> Run:
    """Start a run after looking for scenes, MVSNet and a compiler: what cannot be trained leaves no folder behind."""
    if config.hardware.compile:
        from maskrf_core.model.fast.pass_variants import check_compiler

        check_compiler(resolve_device(config.hardware.device), "hardware.compile")
    open_checked_scenes(config)
    if not Run(folder).last_checkpoint.is_file():
        check_mvsnet_is_there(config)
    if not Run(folder).config_path.is_file():
        config = with_validation(config)
    return Run.start(folder, config)


def trained(run: Run) -> Run:
    """Train what is left of a run, saying so."""
    if not is_done(run):
        left = run.config.training.steps - steps_done(run)
        print(f"{display_path(run.folder)} is needed here: training its {left} steps first", flush=True)
        train(run)
        wait_for(run)
    return run


def total_steps(run: Run) -> int:
    """Count the steps of a run and of the run that made its initial weights, as far as that is known.

    Those of weights that ship are not counted: they were trained at another time, by another recipe.
    """
    weights = run.config.training.initial_weights
    return (steps_of(weights) if weights and not is_shipped(weights) else 0) + run.config.training.steps


def histories(runs: Mapping[str, Run]) -> dict[str, tuple[pd.DataFrame, int]]:
    """Read each run's metrics and the steps before its first, by name; what made its initial weights stands before."""
    found = {}
    for name, run in runs.items():
        weights = run.config.training.initial_weights
        before = _existing(Path(weights).parent.parent) if weights else None
        if before is not None:
            found["masked pretraining"] = (before.metrics(), 0)
        found[name] = (run.metrics(), total_steps(run) - run.config.training.steps)
    return found


def handed_on(parameters: NotebookParameters, model: type[Parameters], names: tuple[str, ...]) -> Parameters:
    """Make the parameters of another notebook: those of `names` as here, the rest by default."""
    values = {name: getattr(parameters, name) for name in names if name in type(parameters).model_fields}
    return model(**{name: value for name, value in values.items() if name in model.model_fields})


class Finetuning:
    """Notebook 04: finetuning across scenes, beside training from scratch; or on one scene, beside what it began from.

    The checkpoint that it begins from is trained if it is missing; the run is not. The test views of one scene are only
    looked at, nothing is chosen by them.
    """

    def __init__(self, parameters: FinetuneParameters):
        self.parameters = parameters
        self.on_one_scene = parameters.setting == "per_scene"
        self.split: Literal["validation", "test"] = "test" if self.on_one_scene else "validation"
        self.weights = weights_to_finetune(parameters)
        self.run = finetuning(parameters, self.weights)
        self.runs = {AFTER if self.on_one_scene else FINETUNED: self.run}

    def compared(self) -> dict[str, tuple[Path, Path]]:
        """Return weights and where their pictures go, by name, in order; what is missing is waited for or trained.

        Those of trainings are their last: a longer one, which validates more often, has no more to choose from.
        """
        wait_for(self.run)
        before = {}
        if self.on_one_scene:
            before = {BEFORE: (self.weights, self.run.renders / "before")}
        elif self.parameters.from_scratch_too:
            self.runs[SCRATCH] = from_scratch(self.parameters, total_steps(self.run))
            train(self.runs[SCRATCH])
            wait_for(self.runs[SCRATCH])
        return before | {name: (run.last_checkpoint, run.renders / self.split) for name, run in self.runs.items()}

    def psnr_curve(self) -> Figure:
        """Draw PSNR on the views of `split` over the steps."""
        if self.on_one_scene:
            return plots.test_curve(self.run.metrics())
        return plots.validation_curves(histories(self.runs))

    def loss_curve(self) -> Figure:
        """Draw the losses over the steps."""
        if self.on_one_scene:
            return plots.loss_curves(self.run.metrics())
        return plots.colour_curves(histories(self.runs))

    def record(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Keep the mean PSNR and SSIM of each table, by name of what was compared, in the folders of the runs."""
        means = {}
        for name, table in tables.items():
            means[name] = {metric: float(table[f"fine_{metric}"].mean()) for metric in ("psnr", "ssim")}
        before = {"before": means[BEFORE]} if self.on_one_scene else {}
        for name, run in self.runs.items():
            counts = {"total_steps": total_steps(run), "views": len(tables[name])}
            run.record("04_finetune", counts | means[name] | before)


def _finetuned(parameters: FinetuneParameters) -> Run:
    """Return the run of 04 across scenes; what it stands on is trained first, it is not."""
    return _existing(_folder(parameters, "finetune")) or finetuning(parameters, weights_to_finetune(parameters))


def _folder(parameters: PretrainParameters | FinetuneParameters, kind: str) -> Path:
    """Return the run folder: as the parameter `run` says, or named by what differs from the defaults."""
    if parameters.run is None:
        return parameters.run_folder(kind)
    if any(part.startswith(".") and part != ".." for part in Path(parameters.run).parts):
        raise SettingsError(f"run={parameters.run!r}: hidden folders are not for runs. Choose another name.")
    folder = parameters.runs / parameters.run
    return folder.with_name(f"{folder.name}_from_scratch") if kind == "from_scratch" else folder


def _check_it_compares(run: Run) -> None:
    """Raise `RunError` if a run was trained by an earlier recipe than what it is to be compared with."""
    if run.config.training.recipe != RECIPE:
        raise RunError(
            f"{display_path(run.folder)}: was trained when batches were drawn otherwise, and does not compare with "
            "what is trained now. Train it anew in another runs_root, or set from_scratch_too = False in 04."
        )


def _begun_from(weights: Path) -> dict[str, Any]:
    """Return the settings of a training from these weights: those that ship bring the model's, whatever the preset."""
    return {"training.initial_weights": str(weights)} | (_model_of(weights) if is_shipped(weights) else {})


def _model_of(weights: Path) -> dict[str, Any]:
    """Return the settings of the model that weights which ship are of, by dotted name."""
    return {f"model.{name}": value for name, value in read_weights(weights)["model_settings"].items()}


def _existing(folder: Path) -> Run | None:
    """Open the run in a folder, if there is one."""
    return Run.open(folder) if (folder / "config.yaml").is_file() else None
