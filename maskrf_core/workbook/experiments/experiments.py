"""The trainings that notebooks stand on. A run that is finished is not trained again; one that is missing is made."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from maskrf_core.checkpoints.published_checkpoints import check_mvsnet_is_there, steps_of
from maskrf_core.model.fast.pass_variants import check_compiler
from maskrf_core.rendering.evaluation import resolve_device
from maskrf_core.runs import Run
from maskrf_core.runs.run import hold_to_weights
from maskrf_core.settings.config import Config
from maskrf_core.training.preflight import open_checked_scenes
from maskrf_core.training.saved_states import is_done, steps_done
from maskrf_core.workbook.experiments.following import train
from maskrf_core.workbook.parameters.notebook_parameters import NotebookParameters
from maskrf_core.workbook.parameters.parameters import (
    FinetuneParameters,
    Parameters,
    PretrainParameters,
)

COMMON = ("preset", "data_root", "runs_root", "seed", "device")
OF_TRAINING = (*COMMON, "overrides", "working_views", "train_scenes", "validation_scenes", "devices", "num_nodes")


def pretraining(parameters: PretrainParameters) -> Run:
    """The run folder that the parameters of 03 ask for; nothing is trained yet."""
    return checked_start(_folder(parameters, "pretrain"), parameters.config("pretrain"))


def finetuning(parameters: FinetuneParameters, weights: Path) -> Run:
    """The run folder of finetuning from `weights`; nothing is trained yet.

    Raises:
        RunError: the folder holds a run that began from other weights.
    """
    config = parameters.config("finetune", {"training.initial_weights": str(weights)})
    run = checked_start(_folder(parameters, "finetune"), config)
    hold_to_weights(run, weights)
    return run


def from_scratch(parameters: FinetuneParameters, steps: int) -> Run:
    """The run folder of training without pretraining for `steps` in all; nothing is trained yet."""
    return checked_start(_scratch_folder(parameters), parameters.config("finetune", {"training.steps": steps}))


def pretrained_weights(parameters: FinetuneParameters) -> Path:
    """The checkpoint to finetune: `pretrained`, or the last one of the run of 03, which is trained if it is missing."""
    if parameters.pretrained is None:
        return trained(pretraining(handed_on(parameters, PretrainParameters, OF_TRAINING))).last_checkpoint
    path = parameters.weights_path(parameters.pretrained)
    return path if path.is_file() else Run.open(path).last_checkpoint


def finetuned_runs(parameters: NotebookParameters) -> dict[str, Run]:
    """The two runs of 04 at their defaults, by name of the method; what is missing is trained first."""
    asked = handed_on(parameters, FinetuneParameters, COMMON)
    run = _finetuned(asked)
    scratch = _existing(_scratch_folder(asked)) or from_scratch(asked, total_steps(run))
    return {"finetuned from scratch": trained(scratch), "masked-pretrained, then finetuned": trained(run)}


def per_scene(parameters: FinetuneParameters, weights: Path) -> Run:
    """The run folder of finetuning on one scene from `weights`; nothing is trained yet.

    Raises:
        RunError: the folder holds a run that began from other weights.
    """
    scenes = None if parameters.scene is None else [parameters.scene]
    asked = {"data.train_scenes": scenes, "training.initial_weights": str(weights)}
    run = checked_start(_folder(parameters, "per_scene"), parameters.config("per_scene", asked))
    hold_to_weights(run, weights)
    return run


def weights_across_scenes(parameters: FinetuneParameters) -> Path:
    """The checkpoint to finetune on one scene: `pretrained`, or that of 04 across scenes at its defaults but for the
    model that is asked for, which is trained if it is missing."""
    if parameters.pretrained is None:
        asked = handed_on(parameters, FinetuneParameters, COMMON)
        asked = asked.model_copy(update={"overrides": parameters.overrides_of("model")})
        return trained(_finetuned(asked)).weights
    path = parameters.weights_path(parameters.pretrained)
    return path if path.is_file() else Run.open(path).weights


def checked_start(folder: Path, config: Config) -> Run:
    """`Run.start`, after looking for scenes, MVSNet and a compiler: what cannot be trained leaves no folder behind."""
    if config.hardware.compile:
        check_compiler(resolve_device(config.hardware.device), "hardware.compile")
    open_checked_scenes(config)
    if not Run(folder).last_checkpoint.is_file():
        check_mvsnet_is_there(config)
    return Run.start(folder, config)


def trained(run: Run) -> Run:
    """Train what is left of a run, saying so."""
    if not is_done(run):
        left = run.config.training.steps - steps_done(run)
        print(f"{display_path(run.folder)} is needed here: training its {left} steps first", flush=True)
        train(run)
    return run


def total_steps(run: Run) -> int:
    """Steps of a run and of the run that made its initial weights, as far as that is known."""
    weights = run.config.training.initial_weights
    return (steps_of(weights) if weights else 0) + run.config.training.steps


def histories(runs: Mapping[str, Run]) -> dict[str, tuple[pd.DataFrame, int]]:
    """Each run's metrics and the steps before its first, by name; the run that made initial weights stands before."""
    found = {}
    for name, run in runs.items():
        weights = run.config.training.initial_weights
        before = _existing(Path(weights).parent.parent) if weights else None
        if before is not None:
            found["masked pretraining"] = (before.metrics(), 0)
        found[name] = (run.metrics(), total_steps(run) - run.config.training.steps)
    return found


def handed_on(parameters: NotebookParameters, model: type[Parameters], names: tuple[str, ...]) -> Parameters:
    """The parameters of another notebook: those of `names` as here, the rest by default."""
    values = {name: getattr(parameters, name) for name in names if name in type(parameters).model_fields}
    return model(**{name: value for name, value in values.items() if name in model.model_fields})


def _finetuned(parameters: FinetuneParameters) -> Run:
    """The run of 04 across scenes; what it stands on is trained first, it is not."""
    return _existing(_folder(parameters, "finetune")) or finetuning(parameters, pretrained_weights(parameters))


def _folder(parameters: PretrainParameters | FinetuneParameters, kind: str) -> Path:
    return parameters.runs / parameters.run if parameters.run else parameters.run_folder(kind)


def _scratch_folder(parameters: FinetuneParameters) -> Path:
    folder = _folder(parameters, "from_scratch")
    return folder.with_name(f"{folder.name}_from_scratch") if parameters.run else folder


def _existing(folder: Path) -> Run | None:
    return Run.open(folder) if (folder / "config.yaml").is_file() else None
