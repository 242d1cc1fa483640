"""The config of a run: the YAML of its stage, its preset and the overrides; and faults of settings in words."""

import contextlib
import os
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError, model_validator

from maskrf_core.settings.older_configs import as_it_was
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
    "hardware.twin",
    "hardware.cuda_graph",
    "hardware.rays_per_chunk",
    "hardware.data_workers",
    "hardware.image_cache_mib",
    "hardware.render_cache_mib",
    "training.steps",
    "data.data_root",
    "data.mvsnet_weights",
    "evaluation.path.",
    "rendering.compile",
    "rendering.twin",
)
"""Settings (those that end with a dot: all of a section) that an existing run may be continued with: where and how it
is computed, where the data lie, how long it lasts, and what is filmed after it."""
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}  # the same in JSON schemas
KINDS = {
    "float": "a number",
    "int": "a whole number",
    "bool": "True or False",
    "string": "text",
    "list": "a list",
    "model": "a section of settings",
    "dict": "a section of settings",
}


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
    def _stage_fits(self) -> "Config":
        if self.stage != "pretrain" and self.masking.masks:
            largest = "" if self.masking.mask_ratio else " and largest_mask_ratio none or 0"
            raise ValueError(
                f"masking.mask_ratio must be 0{largest} in the {self.stage} stage: finetuning masks nothing"
            )
        if self.stage == "per_scene" and self.training.optimiser == "handed_on":
            raise ValueError("training.optimiser must be fresh in the per_scene stage: its free maps are new")
        if self.training.initial_weights is None and self.training.optimiser == "handed_on":
            raise ValueError("training.optimiser=handed_on: needs training.initial_weights, which hand it on")
        if self.model.free_maps is not None:
            raise ValueError("model.free_maps is not to be set: the per_scene stage makes the maps of its scene")
        return self

    @property
    def supervises_depth(self) -> bool:
        """Tell whether training holds visibility to depth maps: of all data sets if asked, else of exact ones.

        A per-scene one holds it to its own renderings.
        """
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
    values: dict[str, Any] = {}
    for name in (stage, preset, *(["smoke"] if os.environ.get(SMOKE) else [])):
        read = _read(CONFIG_FOLDER / f"{name}.yaml")
        of_stage = read.pop("stages", {}).get(stage, {})
        values = _merged(_merged(values, read), of_stage)
    return validated({"stage": stage, "preset": preset, **with_overrides(values, overrides or {})})


def with_overrides(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Return nested values with others in their place, by dotted name; None changes nothing."""
    for name, value in overrides.items():
        if value is not None:
            values = _merged(values, reduce(lambda inner, part: {part: inner}, reversed(name.split(".")), value))
    return values


def validated(values: dict[str, Any]) -> Config:
    """Make a config of plain values; raise `SettingsError` as `load_config`."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise SettingsError(readable(error, Config)) from error


def read_config(path: Path) -> Config:
    """Read the config that was written to `path`; what older ones do not say is put in as it was then."""
    return validated(as_it_was(_read(path)))


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
        try:
            overrides[name.strip()] = as_number(yaml.safe_load(value.strip()))
        except yaml.YAMLError as error:
            raise SettingsError(f"overrides: {value.strip()!r} is not a value") from error
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


def as_number(value: Any) -> Any:
    """Return `1e-3`, which YAML takes for text, as a number, and anything else as it is."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: cannot be read as YAML ({error})") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: holds no settings")
    return values


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def readable(error: ValidationError, model: type[BaseModel], noun: str = "setting") -> str:
    """List all faults of a validation of `model`, one a line: `mask_ratio=1.5: must be ≥ 0 and < 1`."""
    return "\n".join(_fault(fault, model, noun) for fault in error.errors())


def _fault(fault: dict[str, Any], model: type[BaseModel], noun: str) -> str:
    name, kind, value = ".".join(map(str, fault["loc"])), fault["type"], fault["input"]
    if kind == "extra_forbidden":
        *parents, last = map(str, fault["loc"])
        known = list(_model_at(model, fault["loc"][:-1]).model_fields)
        nearest = [".".join([*parents, close]) for close in get_close_matches(last, known, n=1)]
        hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}"
        return f"{name}: unknown {noun}; {hint}"
    if kind == "missing":
        return f"{name}: is missing"
    if kind == "value_error":  # of a section or of everything as a whole: the message names the setting
        message = str(fault["msg"]).removeprefix("Value error, ")
        return f"{name}.{message}" if name else message
    return f"{name}={value!r}: must be {_expectation(fault, model)}"


def _expectation(fault: dict[str, Any], model: type[BaseModel]) -> str:
    kind = fault["type"]
    if kind == "literal_error":
        choices = fault["ctx"]["expected"]
        names = choices.replace("'", "").replace(" or ", ", ").split(", ")
        nearest = get_close_matches(str(fault["input"]), names, n=1)
        return f"one of {choices}" + (f"; did you mean {nearest[0]!r}?" if nearest else "")
    if kind.endswith(("_type", "_parsing", "_from_float")):
        return KINDS.get(kind.split("_")[0], fault["msg"])
    schema = _model_at(model, fault["loc"][:-1]).model_json_schema()["properties"].get(str(fault["loc"][-1]), {})
    parts = [schema, *schema.get("anyOf", [])]  # those of `Annotated[...] | None` stand in the union's parts
    bounds = [f"{sign} {part[name]}" for name, sign in LIMITS.items() for part in parts if name in part]
    if not bounds:  # of a value inside a dict: what the fault itself says
        bounds = [f"{BOUNDS[name]} {limit:g}" for name, limit in fault.get("ctx", {}).items() if name in BOUNDS]
    return " and ".join(bounds) or fault["msg"]


def _model_at(model: type[BaseModel], location: tuple) -> type[BaseModel]:
    for name in location:
        field = model.model_fields.get(str(name))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return model
        model = field.annotation
    return model
