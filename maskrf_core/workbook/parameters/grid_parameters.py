"""The parameters of `02_mask_ratio_ablation`: a grid of trainings, and where they are computed."""

from collections.abc import Mapping
from itertools import product
from typing import Any, Literal

from pydantic import Field, model_validator

from maskrf_core.settings.config import Config, as_number, parse_overrides
from maskrf_core.settings.sections import Devices, Nodes, Stage, Steps, WorkingViews
from maskrf_core.support.errors import SettingsError
from maskrf_core.workbook.parameters.notebook_parameters import NotebookParameters
from maskrf_core.workbook.parameters.parameter_types import RatioList, SceneList, SeedList, StrategyList, split_list

OF_MASKING = "masking."


class AblationParameters(NotebookParameters):
    """Of `02_mask_ratio_ablation`."""

    mask_ratios: RatioList = "0, 0.5, 0.75"
    strategies: StrategyList = "ray_and_view"
    seeds: SeedList = "0"
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
        """Of the grid, rising."""
        return sorted(float(part) for part in split_list(self.mask_ratios))

    @property
    def strategy_list(self) -> list[str]:
        """What a ratio is the share of, one after the other."""
        return split_list(self.strategies)

    @property
    def seed_list(self) -> list[int]:
        """Seeds of each point's repetitions."""
        return [int(part) for part in split_list(self.seeds)]

    @property
    def combinations(self) -> list[dict[str, Any]]:
        """Every combination of the values of `vary`, by dotted name of the setting; one without any if it is empty.

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
        """As of any notebook; of several strategies, the first."""
        strategy = self.strategy_list[0] if stage == "pretrain" else None
        return super().config(stage, {"masking.strategy": strategy} | dict(asked or {}))

    def check_settings(self) -> None:
        """As of any notebook, with every combination that is varied."""
        for varied in self.combinations:
            for stage in self.stages:
                self.config(stage, varied_in(stage, varied))


def varied_in(stage: Stage, varied: Mapping[str, Any]) -> dict[str, Any]:
    """What of a combination concerns a stage: finetuning masks nothing."""
    return {name: value for name, value in varied.items() if stage == "pretrain" or not name.startswith(OF_MASKING)}
