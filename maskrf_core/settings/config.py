"""The config of a run: the YAML of its stage, then that of its preset, then the overrides."""

import contextlib
import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, model_validator

from maskrf_core.settings.readable_errors import readable
from maskrf_core.settings.sections import (
    DataSettings,
    EvaluationSettings,
    HardwareSettings,
    MaskingSettings,
    ModelSettings,
    Preset,
    RenderingSettings,
    Settings,
    Stage,
    TrainingSettings,
)
from maskrf_core.support.errors import SettingsError

CONFIG_FOLDER = Path(__file__).resolve().parents[2] / "configs"
SMOKE = "MASKRF_SMOKE"
"""Environment variable that shrinks every config to a few seconds, so that tests can run whole notebooks."""
MAY_DIFFER = (
    "hardware.device",
    "hardware.recomputed_rays",
    "hardware.compile",
    "hardware.rays_per_chunk",
    "hardware.data_workers",
    "hardware.image_cache_mib",
    "hardware.render_cache_mib",
    "training.steps",
    "data.data_root",
    "data.mvsnet_weights",
    "evaluation.path.",
    "rendering.compile",
)
"""Settings (those that end with a dot: all of a section) that an existing run may be continued with: where and how it
is computed, where the data lie, how long it lasts, and what is filmed after it."""


class Config(Settings):
    """All settings of one run."""

    stage: Stage
    preset: Preset = "demo"
    model: ModelSettings = ModelSettings()
    masking: MaskingSettings = MaskingSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    rendering: RenderingSettings = RenderingSettings()
    hardware: HardwareSettings = HardwareSettings()

    @model_validator(mode="after")
    def _finetuning_masks_nothing(self) -> "Config":
        if self.stage != "pretrain" and self.masking.masks:
            largest = "" if self.masking.mask_ratio else " and largest_mask_ratio none or 0"
            raise ValueError(
                f"masking.mask_ratio must be 0{largest} in the {self.stage} stage: finetuning masks nothing"
            )
        return self

    @model_validator(mode="after")
    def _free_maps_come_from_training(self) -> "Config":
        if self.model.free_maps is not None:
            raise ValueError("model.free_maps is not to be set: the per_scene stage makes the maps of its scene")
        return self

    @property
    def supervises_depth(self) -> bool:
        """Tell whether training holds visibility to depth maps. A per-scene one holds it to its own renderings."""
        asked = self.data.depth_supervision
        of_model = self.model.visibility_init == "depth" and self.stage != "per_scene"
        return of_model if asked is None else asked


def may_differ(name: str) -> bool:
    """Tell whether a run stays the same run with another value of this setting, by its dotted name."""
    return any(name.startswith(known) if known.endswith(".") else name == known for known in MAY_DIFFER)


def load_config(stage: Stage, preset: Preset = "demo", overrides: dict[str, Any] | None = None) -> Config:
    """Load the config of a stage at a preset's size; `overrides` maps dotted names to values, None changing nothing.

    Raises:
        SettingsError: an unknown name (with the nearest one), a wrong type or a value out of range.
    """
    values = _merged(_read(CONFIG_FOLDER / f"{stage}.yaml"), _preset_values(stage, preset))
    if os.environ.get(SMOKE):
        values = _merged(values, _preset_values(stage, "smoke"))
    for name, value in (overrides or {}).items():
        if value is not None:
            values = _merged(values, _nested(name, value))
    return validated({"stage": stage, "preset": preset, **values})


def validated(values: dict[str, Any]) -> Config:
    """Make a config of plain values.

    Raises:
        SettingsError: as `load_config`.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise SettingsError(readable(error, Config)) from error


def read_config(path: Path) -> Config:
    """Read the config that was written to `path`."""
    return validated(_read(path))


def to_yaml(config: Config) -> str:
    """Write all settings, defaults included, as YAML text."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def parse_overrides(text: str) -> dict[str, Any]:
    """Read dotted names and values (YAML, lists in brackets) from `"data.rays=256, data.train_scenes=[a, b]"`.

    Raises:
        SettingsError: an entry without `=`, or a value that is not YAML.
    """
    overrides = {}
    for entry in filter(None, map(str.strip, split_outside_brackets(text))):
        name, equals, value = entry.partition("=")
        if not equals:
            raise SettingsError(f"overrides: {entry!r} is not of the form section.name=value")
        overrides[name.strip()] = as_number(_scalar(value.strip()))
    return overrides


def split_outside_brackets(text: str) -> list[str]:
    """Split a text at the commas that no bracket encloses."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _scalar(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"overrides: {text!r} is not a value") from error


def as_number(value: Any) -> Any:
    """Return `1e-3`, which YAML takes for text, as a number, and anything else as it is."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def _preset_values(stage: Stage, preset: str) -> dict[str, Any]:
    """Read what a preset sets for all stages, and then for this one (its section `stages`)."""
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
