"""What can be asked of each notebook: the flat scalars of its `parameters` cell, typed, bounded and strict.

Nothing here imports torch, so that a notebook refuses a wrong parameter within a second.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import Field, ValidationError

from maskrf_core.config import SMOKE, Config, load_config, parse_overrides
from maskrf_core.errors import SettingsError
from maskrf_core.setting_errors import readable
from maskrf_core.settings import (
    Device,
    MaskRatio,
    PathFrames,
    PathKind,
    Preset,
    Seed,
    Settings,
    Stage,
    Steps,
    WorkingViews,
)
from maskrf_core.storage import ROOT, resolve, shown
from maskrf_core.workbook.parameter_cells import parameter_names
from maskrf_core.workbook.parameter_types import PixelText, RatioList, SceneList, SeedList, split_list

RUNS_VARIABLE = "MASKRF_RUNS"
"""Environment variable: where run folders go while `runs_root` is left as it is; for tests and publishing."""
SET_BY_NOTEBOOKS = ("stage", "preset", "data.data_root", "training.initial_weights")
NOT_IN_NAMES = ("preset", "data_root", "runs_root", "device", "steps")
"""Parameters that leave a run the same run: its name does not say them."""


class NotebookParameters(Settings):
    """What every notebook takes."""

    preset: Preset = "demo"
    data_root: str = Field("data", description="folder that holds the data sets")
    runs_root: str = Field("runs", description="folder of the run folders, relative to the checkout")
    seed: Seed = 0
    device: Device = "auto"
    overrides: str = Field("", description="any other settings: `data.rays=256, model.fine_samples=16`")

    stages: ClassVar[tuple[Stage, ...]] = ("finetune",)
    """Stages whose config the notebook needs: a wrong override is found with them."""
    settings: ClassVar[dict[str, str]] = {
        "mask_ratio": "masking.mask_ratio",
        "steps": "training.steps",
        "working_views": "data.working_views",
        "views_per_scene": "evaluation.views_per_scene",
        "train_scenes": "data.train_scenes",
        "validation_scenes": "data.validation_scenes",
        "scene": "evaluation.test_scenes",
        "path": "evaluation.path.kind",
        "path_frames": "evaluation.path.frames",
        "seed": "training.seed",
        "device": "hardware.device",
    }
    """Parameter → the setting that it is."""
    not_in_names: ClassVar[tuple[str, ...]] = ()
    """Parameters of this notebook that have no part in a training."""
    names_weights: ClassVar[str | None] = None
    """Parameter that names a run folder or checkpoint."""

    def config(self, stage: Stage, asked: Mapping[str, Any] | None = None) -> Config:
        """The config of a stage: preset, then these parameters, then `asked`, then `overrides`.

        Raises:
            SettingsError: an override is unknown, of a wrong type or out of range.
        """
        values: dict[str, Any] = {"data.data_root": str(self.data_folder)}
        for name, setting in self.settings.items():
            value = getattr(self, name, None)
            if setting.endswith("_scenes"):
                value = split_list(value)
            if stage == "pretrain" or name != "mask_ratio":
                values[setting] = value
        return load_config(stage, self.preset, values | dict(asked or {}) | self._checked_overrides())

    def _checked_overrides(self) -> dict[str, Any]:
        """`overrides`, none of which may be what the notebook sets itself.

        Raises:
            SettingsError: one is; the parameter to use is named.
        """
        overrides = parse_overrides(self.overrides)
        parameters = {setting: name for name, setting in self.settings.items()}
        for setting in overrides:
            if parameters.get(setting) in type(self).model_fields:
                raise SettingsError(f"overrides: {setting} has a parameter of its own; set {parameters[setting]}")
            if setting in (*parameters, *SET_BY_NOTEBOOKS):
                raise SettingsError(f"overrides: {setting} is set by this notebook itself")
        return overrides

    @property
    def data_folder(self) -> Path:
        """Where the data sets are, whatever folder the notebook was started from."""
        return resolve(self.data_root).resolve()

    @property
    def runs(self) -> Path:
        """Where run folders go."""
        default = self.runs_root == NotebookParameters.model_fields["runs_root"].default
        if default and os.environ.get(RUNS_VARIABLE):
            return ROOT / os.environ[RUNS_VARIABLE]
        runs = ROOT / Path(self.runs_root).expanduser()
        return runs / "smoke" if os.environ.get(SMOKE) else runs

    def run_folder(self, kind: str) -> Path:
        """`<runs>/<preset>/<kind>`, followed by every parameter that makes it another run than by default."""
        parts = [kind]
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name == "overrides":
                value = ",".join(
                    f"{key}={item}" for key, item in parse_overrides(value).items() if not key.startswith("hardware.")
                )
            if value != field.default and value is not None and name not in (*NOT_IN_NAMES, *self.not_in_names):
                parts.append(f"{name}={value}" if name != "overrides" else value)
        name = re.sub(r"[^\w.=,+-]+", "_", "-".join(parts))
        if len(name) > 120:
            name = f"{name[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        return self.runs / self.preset / name

    def weights_path(self, given: str) -> Path:
        """The run folder or checkpoint file that is meant: below the run folders, or any path.

        Raises:
            SettingsError: there is none.
        """
        candidates = [self.runs / self.preset / given, self.runs / given, resolve(given)]
        for path in candidates:
            if path.is_file() or (path / "config.yaml").is_file():
                return path.resolve()
        raise SettingsError(
            f"{given!r}: no run folder (with config.yaml) and no checkpoint file. Looked for "
            f"{', '.join(shown(path) for path in candidates)}."
        )


class DataParameters(NotebookParameters):
    """Of `01_data_prep`."""

    scene: str = Field("demo/train_04", min_length=1, description="the scene to look at closely")
    depth_views: int | None = Field(None, ge=2, description="views whose depth is estimated; none: all references")
    point: PixelText | None = Field(None, description="x, y in pixels of the epipolar check; none: a corner")
    unpack: bool = Field(False, description="unpack the archives that are found below data_root")
    check: str = Field("", description="data sets or scenes to look through thoroughly, separated by commas")
    prepare_depth: str = Field("", description="data sets or scenes whose depth is estimated and kept")

    not_in_names = ("unpack", "check", "prepare_depth")


class PretrainParameters(NotebookParameters):
    """Of `03_pretrain`."""

    mask_ratio: MaskRatio = 0.5
    steps: Steps | None = None
    working_views: WorkingViews | None = None
    train_scenes: SceneList | None = None
    validation_scenes: SceneList | None = None
    run: str | None = Field(None, min_length=1, description="run folder below runs_root; none: named by what differs")

    stages = ("pretrain",)
    not_in_names = ("run",)


class FinetuneParameters(NotebookParameters):
    """Of `04_finetune`."""

    pretrained: str | None = Field(None, min_length=1, description="run folder or checkpoint; none: the run of 03")
    steps: Steps | None = None
    working_views: WorkingViews | None = None
    train_scenes: SceneList | None = None
    validation_scenes: SceneList | None = None
    from_scratch_too: bool = Field(True, description="train from random weights for as many steps in all")
    run: str | None = Field(None, min_length=1, description="run folder below runs_root; none: named by what differs")

    stages = ("pretrain", "finetune")
    not_in_names = ("run", "from_scratch_too")
    names_weights = "pretrained"


class AblationParameters(NotebookParameters):
    """Of `02_mask_ratio_ablation`."""

    mask_ratios: RatioList = "0, 0.5, 0.75"
    seeds: SeedList = "0"
    pretrain_steps: Steps | None = Field(None, description="of each ratio; none: a quarter of the preset's")
    finetune_steps: Steps | None = Field(None, description="after it; none: a quarter of the preset's")
    working_views: WorkingViews | None = None
    train_scenes: SceneList | None = None
    validation_scenes: SceneList | None = None

    stages = ("pretrain", "finetune")
    not_in_names = ("mask_ratios", "seeds", "seed", "pretrain_steps", "finetune_steps")

    @property
    def ratios(self) -> list[float]:
        """The grid, rising."""
        return sorted(float(part) for part in split_list(self.mask_ratios))

    @property
    def seed_list(self) -> list[int]:
        """Seeds of each ratio's repetitions."""
        return [int(part) for part in split_list(self.seeds)]


class EvaluateParameters(NotebookParameters):
    """Of `05_evaluate`."""

    checkpoint: str | None = Field(None, min_length=1, description="run folder or checkpoint; none: the runs of 03, 04")
    scene: SceneList | None = Field(None, description="test scenes, separated by commas; none: the preset's")
    working_views: WorkingViews | None = None
    views_per_scene: int | None = Field(None, ge=1, description="test views of each scene; none: the preset's")
    path: PathKind = Field("auto", description="how a camera travels through the first test scene; none: no video")
    path_frames: PathFrames | None = Field(None, description="pictures of that path; none: the preset's")

    not_in_names = ("path", "path_frames")
    names_weights = "checkpoint"


Parameters = TypeVar("Parameters", bound=NotebookParameters)


def check_parameters(model: type[Parameters], namespace: Mapping[str, Any]) -> Parameters:
    """The notebook's parameters, from `globals()`, all of them checked.

    Raises:
        SettingsError: one line for each that is unknown (with the nearest name), of a wrong type or out of range.
    """
    fields = model.model_fields
    names = parameter_names(namespace, fields)
    values = {name: namespace[name] for name in [*names, *fields] if name in namespace}
    try:
        parameters = model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(readable(error, model, noun="parameter")) from None
    for stage in model.stages:
        parameters.config(stage)
    if model.names_weights and getattr(parameters, model.names_weights):
        parameters.weights_path(getattr(parameters, model.names_weights))
    return parameters
