"""The parameters of each notebook besides those that all take."""

import os
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from maskrf_core.checkpoints.published_files import PUBLISHED_ENDING
from maskrf_core.settings.config import SMOKE, Config, as_number, parse_overrides
from maskrf_core.settings.sections import (
    Devices,
    MaskRatio,
    Nodes,
    PathFrames,
    PathKind,
    Preset,
    Stage,
    Steps,
    WorkingViews,
)
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.paths import RUNS, display_path, resolve
from maskrf_core.workbook.parameters.notebook_parameters import (
    USUAL_STRATEGY,
    NotebookParameters,
    PixelText,
    SceneList,
    StrategyList,
    list_of,
    split_list,
)

OF_MASKING = "masking."
RUN = "run folder below runs_root; none: named by what differs"


class MethodParameters(NotebookParameters):
    """The parameters of `00_method`."""

    scene: str = Field("demo/test_00", min_length=1, description="the scene whose pixel is followed")
    point: PixelText | None = Field(None, description="x, y in pixels of the query; none: a corner")
    mask_ratio: MaskRatio = Field(0.5, gt=0)
    steps: Steps = 20

    stages = ("pretrain",)
    not_in_names = ("point",)
    set_here = ("model.aggregator",)  # what is computed by hand is NeuRay's


class DataParameters(NotebookParameters):
    """The parameters of `01_data_prep`."""

    scene: str = Field("demo/train_04", min_length=1, description="the scene to look at closely")
    depth_views: int | None = Field(
        None, ge=2, description="number of views whose depth is estimated; none: all references"
    )
    point: PixelText | None = Field(None, description="x, y in pixels of the epipolar check; none: a corner")
    unpack: bool = Field(False, description="unpack the archives that are found below data_root")
    check: str = Field("", description="data sets or scenes to look through thoroughly, separated by commas")
    prepare_depth: str = Field("", description="data sets or scenes whose depth is estimated and kept")

    not_in_names = ("unpack", "check", "prepare_depth")


class AblationParameters(NotebookParameters):
    """The parameters of `02_mask_ratio_ablation`: a grid of trainings, and where they are computed."""

    mask_ratios: Annotated[str, list_of(float, "numbers ≥ 0 and < 1", 0, 1)] = "0, 0.5, 0.75"
    strategies: StrategyList = USUAL_STRATEGY
    seeds: Annotated[str, list_of(int, "whole numbers ≥ 0", 0, 2**31)] = "0"
    vary: str = Field("", description="settings and their values: `data.rays=[64, 128]`; every combination is trained")
    pretrain_steps: Steps | None = Field(None, description="of each point; none: a quarter of the preset's")
    finetune_steps: Steps | None = Field(None, description="after it; none: a quarter of the preset's")
    working_views: WorkingViews | None = None
    train_scenes: SceneList | None = None
    validation_scenes: SceneList | None = None
    processes: int = Field(1, ge=1, le=256, description="trainings at a time")
    launcher: Literal["here", "slurm"] = "here"
    slurm: str = Field("", description="how to ask Slurm for what a training needs")
    devices: Devices | None = None
    num_nodes: Nodes | None = None

    stages = ("pretrain", "finetune")
    settings = NotebookParameters.settings | {"strategies": "masking.strategy"}
    not_in_names = (
        "mask_ratios", "strategies", "seeds", "seed", "vary", "pretrain_steps", "finetune_steps",
        "processes", "launcher", "slurm",
    )  # fmt: skip

    @model_validator(mode="after")
    def _several_nodes_need_a_launcher(self) -> "AblationParameters":
        if self.launcher == "here" and (self.num_nodes or 1) > 1:
            raise ValueError(f"num_nodes={self.num_nodes}: trainings of a grid are on one node here; launcher=slurm")
        return self

    @property
    def ratios(self) -> list[float]:
        """Return the mask ratios of the grid, rising."""
        return sorted(float(part) for part in split_list(self.mask_ratios))

    @property
    def strategy_list(self) -> list[str]:
        """Return the masking strategies of the grid."""
        return split_list(self.strategies)

    @property
    def seed_list(self) -> list[int]:
        """Return the seeds of each point's repetitions."""
        return [int(part) for part in split_list(self.seeds)]

    @property
    def combinations(self) -> list[dict[str, Any]]:
        """Return every combination of the values of `vary`, by dotted name of the setting; one, without any, if empty.

        Raises:
            SettingsError: an entry is no list of different values, or its setting is not to be varied.
        """
        listed = parse_overrides(self.vary)
        self._refuse_own(listed, "vary")
        for name, values in listed.items():
            if name in parse_overrides(self.overrides):
                raise SettingsError(f"vary: {name} is in overrides as well; leave it out of one of them")
            if not isinstance(values, list) or not values:
                raise SettingsError(f"vary: {name}={values}: list the values in brackets, as in {name}=[1, 2]")
            listed[name] = [as_number(value) for value in values]
            if len({repr(value) for value in listed[name]}) < len(values):
                raise SettingsError(f"vary: {name}={values}: is to have different values")
        return [dict(zip(listed, values, strict=True)) for values in product(*listed.values())]

    def config(self, stage: Stage, asked: Mapping[str, Any] | None = None) -> Config:
        """Load the config of a stage as any notebook does; of several strategies, with the first."""
        strategy = self.strategy_list[0] if stage == "pretrain" else None
        return super().config(stage, {"masking.strategy": strategy} | dict(asked or {}))

    def check_settings(self) -> None:
        """Make the configs of every combination that is varied."""
        for varied in self.combinations:
            for stage in self.stages:
                self.config(stage, varied_in(stage, varied))


def varied_in(stage: Stage, varied: Mapping[str, Any]) -> dict[str, Any]:
    """Select what of a combination concerns a stage: finetuning masks nothing."""
    return {name: value for name, value in varied.items() if stage == "pretrain" or not name.startswith(OF_MASKING)}


class PretrainParameters(NotebookParameters):
    """The parameters of `03_pretrain`."""

    mask_ratio: MaskRatio = 0.5
    pretrained: str | None = Field(None, min_length=1, description="weights to go on from; none: random ones")
    steps: Steps | None = None
    working_views: WorkingViews | None = None
    train_scenes: SceneList | None = None
    validation_scenes: SceneList | None = None
    devices: Devices | None = None
    num_nodes: Nodes | None = None
    run: str | None = Field(None, min_length=1, description=RUN)

    stages = ("pretrain",)
    not_in_names = ("run",)
    names_weights = "pretrained"


class FinetuneParameters(NotebookParameters):
    """The parameters of `04_finetune`."""

    setting: Literal["cross_scene", "per_scene"] = "cross_scene"
    scene: str | None = Field(None, min_length=1, description="the scene of per_scene; none: the preset's")
    pretrained: str | None = Field(
        None, min_length=1, description="weights to start from; none: those of the run before"
    )
    steps: Steps | None = None
    working_views: WorkingViews | None = None
    train_scenes: SceneList | None = None
    validation_scenes: SceneList | None = None
    devices: Devices | None = None
    num_nodes: Nodes | None = None
    from_scratch_too: bool = Field(
        True, description="train from random weights for as many steps in all, both on one schedule"
    )
    run: str | None = Field(None, min_length=1, description=RUN)

    stages = ("pretrain", "finetune", "per_scene")
    not_in_names = ("run", "setting")
    names_weights = "pretrained"

    @model_validator(mode="after")
    def _each_setting_has_its_scenes(self) -> "FinetuneParameters":
        for name in ("scene",) if self.setting == "cross_scene" else ("train_scenes", "validation_scenes"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: has no meaning with setting={self.setting!r}; leave it out")
        return self


class EvaluateParameters(NotebookParameters):
    """The parameters of `05_evaluate`."""

    checkpoint: str | None = Field(
        None, min_length=1, description="run folder or checkpoint; none: the weights that ship, and finished runs of 04"
    )
    scene: SceneList | None = Field(None, description="test scenes, separated by commas; none: the preset's")
    working_views: WorkingViews | None = None
    views_per_scene: int | None = Field(None, ge=1, description="test views of each scene; none: the preset's")
    path: PathKind | None = Field(None, description="how a camera films the first test scene; none: the preset's")
    path_frames: PathFrames | None = Field(None, description="pictures of that path; none: the preset's")

    not_in_names = ("path", "path_frames")
    names_weights = "checkpoint"

    @property
    def sizes(self) -> Preset:
        """Return the preset whose sizes count; of a published checkpoint `paper`: 8 working views, all test views."""
        published = self.checkpoint is not None and self.weights_path(self.checkpoint).suffix == PUBLISHED_ENDING
        return "paper" if published else self.preset


class PerformanceParameters(NotebookParameters):
    """The parameters of `06_performance`."""

    measurements: str | None = Field(None, min_length=1, description="folder; none: runs/benchmarks, or made here")
    repeats: int = Field(5, ge=2, le=100, description="of each case, where it is measured here")

    not_in_names = ("repeats",)

    @property
    def measurements_folder(self) -> Path | None:
        """Return the folder to read measurements from; None where there are none, and in tests of the notebooks.

        Raises:
            SettingsError: `measurements` is given, and no folder with JSON files in it.
        """
        folder = RUNS / "benchmarks" if self.measurements is None else resolve(self.measurements)
        found = any(folder.glob("*.json"))
        if self.measurements is None:
            return folder if found and not os.environ.get(SMOKE) else None
        if found:
            return folder
        raise SettingsError(
            f"measurements={self.measurements!r}: {display_path(folder)} is no folder with JSON files, as `make bench` "
            "leaves them in runs/benchmarks. Leave measurements out to measure something small here."
        )

    def check_settings(self) -> None:
        """Make the config, and look whether the measurements are there; raise `SettingsError` otherwise."""
        super().check_settings()
        _ = self.measurements_folder
