"""What can be asked of each notebook: the flat scalars of its `parameters` cell, typed, bounded and strict.

Nothing here imports torch, so that a notebook refuses a wrong parameter within a second.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from maskrf_core.checkpoints.published_files import PUBLISHED_ENDING
from maskrf_core.settings.config import SMOKE
from maskrf_core.settings.readable_errors import readable
from maskrf_core.settings.sections import (
    Devices,
    MaskRatio,
    Nodes,
    PathFrames,
    PathKind,
    Preset,
    Steps,
    WorkingViews,
)
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.paths import RUNS, resolve
from maskrf_core.workbook.parameters.grid_parameters import AblationParameters
from maskrf_core.workbook.parameters.notebook_parameters import NotebookParameters
from maskrf_core.workbook.parameters.parameter_cells import parameter_names
from maskrf_core.workbook.parameters.parameter_types import PixelText, SceneList


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
    devices: Devices | None = None
    num_nodes: Nodes | None = None
    run: str | None = Field(None, min_length=1, description="run folder below runs_root; none: named by what differs")

    stages = ("pretrain",)
    not_in_names = ("run",)


class FinetuneParameters(NotebookParameters):
    """Of `04_finetune`."""

    setting: Literal["cross_scene", "per_scene"] = "cross_scene"
    scene: str | None = Field(None, min_length=1, description="the scene of per_scene; none: the preset's")
    pretrained: str | None = Field(
        None,
        min_length=1,
        description="run folder or checkpoint; none: the run of 03; per_scene: that of 04 across scenes",
    )
    steps: Steps | None = None
    working_views: WorkingViews | None = None
    train_scenes: SceneList | None = None
    validation_scenes: SceneList | None = None
    devices: Devices | None = None
    num_nodes: Nodes | None = None
    from_scratch_too: bool = Field(True, description="train from random weights for as many steps in all")
    run: str | None = Field(None, min_length=1, description="run folder below runs_root; none: named by what differs")

    stages = ("pretrain", "finetune", "per_scene")
    not_in_names = ("run", "from_scratch_too", "setting")
    names_weights = "pretrained"

    @model_validator(mode="after")
    def _each_setting_has_its_scenes(self) -> "FinetuneParameters":
        unused = ("scene",) if self.setting == "cross_scene" else ("train_scenes", "validation_scenes")
        for name in unused:
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: has no meaning with setting={self.setting!r}; leave it out")
        return self


class EvaluateParameters(NotebookParameters):
    """Of `05_evaluate`."""

    checkpoint: str | None = Field(None, min_length=1, description="run folder or checkpoint; none: the runs of 03, 04")
    scene: SceneList | None = Field(None, description="test scenes, separated by commas; none: the preset's")
    working_views: WorkingViews | None = None
    views_per_scene: int | None = Field(None, ge=1, description="test views of each scene; none: the preset's")
    path: PathKind | None = Field(None, description="how a camera films the first test scene; none: the preset's")
    path_frames: PathFrames | None = Field(None, description="pictures of that path; none: the preset's")

    not_in_names = ("path", "path_frames")
    names_weights = "checkpoint"

    @property
    def sizes(self) -> Preset:
        """A published checkpoint is evaluated as published: 8 working views, all test views."""
        published = self.checkpoint is not None and self.weights_path(self.checkpoint).suffix == PUBLISHED_ENDING
        return "paper" if published else self.preset


class PerformanceParameters(NotebookParameters):
    """Of `06_performance`."""

    measurements: str | None = Field(
        None,
        min_length=1,
        description="folder of what `make bench` left; none: runs/benchmarks, or a small measurement",
    )
    repeats: int = Field(5, ge=2, le=100, description="of each case, where it is measured here")

    not_in_names = ("repeats",)

    @property
    def measurements_folder(self) -> Path | None:
        """Where measurements are to be read; None where there are none, and in tests of the notebooks.

        Raises:
            SettingsError: `measurements` is given, and no folder with JSON files in it.
        """
        folder = RUNS / "benchmarks" if self.measurements is None else resolve(self.measurements)
        if any(folder.glob("*.json")):
            return None if self.measurements is None and os.environ.get(SMOKE) else folder
        if self.measurements is None:
            return None
        raise SettingsError(
            f"measurements={self.measurements!r}: {display_path(folder)} is no folder with JSON files, as `make bench` "
            "leaves them in runs/benchmarks. Leave measurements out to measure something small here."
        )

    def check_settings(self) -> None:
        """As of every notebook; and the measurements are there.

        Raises:
            SettingsError: as `config` and `measurements_folder`.
        """
        super().check_settings()
        _ = self.measurements_folder


__all__ = [
    "AblationParameters",
    "DataParameters",
    "EvaluateParameters",
    "FinetuneParameters",
    "Parameters",
    "PerformanceParameters",
    "PretrainParameters",
    "check_parameters",
]
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
    parameters.check_settings()
    if model.names_weights and getattr(parameters, model.names_weights):
        parameters.weights_path(getattr(parameters, model.names_weights))
    return parameters
