"""Every setting: typed, bounded, strict. A config is the stage's YAML, then the preset's, then what was asked for."""

import contextlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from maskrf_core.errors import SettingsError
from maskrf_core.setting_errors import readable

CONFIG_FOLDER = Path(__file__).resolve().parent.parent / "configs"
SMOKE = "MASKRF_SMOKE"
"""Environment variable that shrinks every config to a few seconds, so that tests can run whole notebooks."""

Stage = Literal["pretrain", "finetune"]
Preset = Literal["demo", "paper"]
MaskRatio = Annotated[float, Field(ge=0, lt=1, description="share of the fine samples on a ray that are masked")]
Steps = Annotated[int, Field(ge=1, le=10_000_000, description="optimiser steps")]
WorkingViews = Annotated[int, Field(ge=1, le=64, description="reference views of a query")]
Seed = Annotated[int, Field(ge=0, lt=2**31, description="of weights, data order, rays and masks")]
Device = Literal["auto", "cpu", "cuda"]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
CropSide = Annotated[int, Field(ge=32, le=8192)]
PUBLISHED_WEIGHTS = {"gso": 80.0, "dtu_train": 20.0, "real_iconic": 10.0, "space": 20.0, "real_estate": 40.0}


class Settings(BaseModel):
    """Base of all settings: frozen plain data; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelSettings(Settings):
    """What the renderer is made of."""

    coarse_samples: int = Field(64, ge=4, le=1024, description="samples of the coarse pass on a ray")
    fine_samples: int = Field(32, ge=1, le=1024, description="samples that the fine pass adds on a ray")


class MaskingSettings(Settings):
    """Masked ray and view modelling; in finetuning mask_ratio is 0 and none of it happens."""

    mask_ratio: MaskRatio = 0.5
    weight: float = Field(0.1, ge=0, description="λ of the feature alignment loss after its warm-up")
    start_step: int = Field(20_000, ge=0, description="step at which the alignment loss and the target's EMA begin")
    warmup_steps: int = Field(10_000, ge=0, description="steps over which λ rises linearly from 0")


class DataSettings(Settings):
    """Which scenes, and what is drawn from them. `demo/train`, `demo/validation`, `demo/test` name all such scenes.

    In `train_scenes`, the name of a data set alone (`gso`) means all of its scenes below the data root.
    """

    data_root: str = Field("data", description="folder that holds the data sets")
    train_scenes: list[str] = Field(["demo/train"], min_length=1)
    validation_scenes: list[str] = Field(["demo/validation"], min_length=1)
    data_set_weights: dict[str, Weight] = Field(
        PUBLISHED_WEIGHTS,
        description="how often a data set is drawn, relative to the others that are there; 1 where none is given",
    )
    crop_height: CropSide | None = Field(None, description="pixels; of forward-facing data sets, none: the whole side")
    crop_width: CropSide | None = Field(None, description="likewise")
    working_views: WorkingViews = 8
    view_pool: float = Field(
        3.0,
        ge=1,
        description="training draws its working views from this many times as many, but where the data set has a "
        "published rule of its own",
    )
    query_kept: float = Field(0.02, ge=0, le=1, description="probability that the query may be its own reference")
    rays: int = Field(512, ge=2, description="query rays of a step, half of them on the foreground if there is a mask")
    depth_pixels: int = Field(8192, ge=1, description="pixels of each reference view whose depth is supervised")
    unknown_depth_is_near: bool = Field(
        True, description="supervise unknown depth (0) as near, as published; False leaves it out"
    )

    @field_validator("data_set_weights")
    @classmethod
    def _others_keep_their_weights(cls, weights: dict[str, float]) -> dict[str, float]:
        return PUBLISHED_WEIGHTS | weights


class TrainingSettings(Settings):
    """The loop."""

    steps: Steps = 400_000
    learning_rate: float = Field(4e-4, gt=0, description="of Adam, at the start")
    halve_every: int = Field(100_000, ge=1, description="steps after which the learning rate is halved")
    lowest_learning_rate: float = Field(1e-5, ge=0)
    initial_weights: str | None = Field(None, description="checkpoint to start from; none: random weights")
    seed: Seed = 0
    log_every: int = Field(100, ge=1, description="steps between two lines of the log")
    validate_every: int = Field(10_000, ge=1, description="steps between two validations")
    validation_views: int = Field(4, ge=1, description="query views of a validation scene")
    checkpoint_every: int = Field(1_000, ge=1, description="steps between two checkpoints")


class EvaluationSettings(Settings):
    """What a finished model is judged by. Neither training nor the choice of settings may see it."""

    test_scenes: list[str] = Field(["demo/test"], min_length=1)
    views_per_scene: int | None = Field(None, ge=1, description="query views of each test scene; none: all")


class HardwareSettings(Settings):
    """Where and how it is computed; no result should depend on it beyond rounding."""

    device: Device = "auto"
    precision: Literal["32-true"] = Field("32-true", description="geometry would suffer from less")
    rays_per_chunk: int = Field(1024, ge=1, description="rays rendered at once without gradients; bounds the memory")
    data_workers: int = Field(1, ge=0, le=64, description="processes that prepare batches; 0: the training itself does")
    image_cache_mib: int = Field(1024, ge=0, le=2**20, description="memory for decoded images, of all processes")


class Config(Settings):
    """All settings of one run."""

    stage: Stage
    preset: Preset = "demo"
    model: ModelSettings = ModelSettings()
    masking: MaskingSettings = MaskingSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    hardware: HardwareSettings = HardwareSettings()

    @model_validator(mode="after")
    def _finetuning_masks_nothing(self) -> "Config":
        if self.stage == "finetune" and self.masking.mask_ratio != 0:
            raise ValueError("masking.mask_ratio must be 0 in the finetune stage: finetuning masks nothing")
        return self


def load_config(stage: Stage, preset: Preset = "demo", overrides: dict[str, Any] | None = None) -> Config:
    """The config of a stage at a preset's size; `overrides` maps dotted names to values, None keeping what was there.

    Raises:
        SettingsError: an unknown name (with the nearest one), a wrong type or a value out of range.
    """
    values = _merged(_read(CONFIG_FOLDER / f"{stage}.yaml"), _preset_values(stage, preset))
    if os.environ.get(SMOKE):
        values = _merged(values, _read(CONFIG_FOLDER / "smoke.yaml"))
    for name, value in (overrides or {}).items():
        if value is not None:
            values = _merged(values, _nested(name, value))
    return validated({"stage": stage, "preset": preset, **values})


def validated(values: dict[str, Any]) -> Config:
    """A config of plain values.

    Raises:
        SettingsError: as `load_config`.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise SettingsError(readable(error, Config)) from error


def read_config(path: Path) -> Config:
    """The config that was written to `path`."""
    return validated(_read(path))


def to_yaml(config: Config) -> str:
    """All settings, defaults included, as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def parse_overrides(text: str) -> dict[str, Any]:
    """`"data.rays=256, data.train_scenes=[a, b]"` → dotted names and values (YAML, lists in brackets).

    Raises:
        SettingsError: an entry without `=`, or a value that is not YAML.
    """
    overrides = {}
    for entry in filter(None, (part.strip() for part in re.split(r",(?![^\[]*\])", text))):
        name, equals, value = entry.partition("=")
        if not equals:
            raise SettingsError(f"overrides: {entry!r} is not of the form section.name=value")
        overrides[name.strip()] = _scalar(value.strip())
    return overrides


def _scalar(text: str) -> Any:
    """A YAML scalar; `1e-3`, which YAML takes for text, is a number."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"overrides: {text!r} is not a value") from error
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def _preset_values(stage: Stage, preset: Preset) -> dict[str, Any]:
    """What a preset sets for all stages, and then for this one (its section `stages`)."""
    values = _read(CONFIG_FOLDER / f"{preset}.yaml")
    own = values.pop("stages", {}).get(stage, {})
    return _merged(values, own)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: cannot be read as YAML ({error})") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: holds no settings")
    return values


def _nested(dotted: str, value: Any) -> dict[str, Any]:
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
