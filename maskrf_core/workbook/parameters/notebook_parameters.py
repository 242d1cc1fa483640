"""The parameters that every notebook takes: checked, and turned into configs, folders, weights."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from maskrf_core.checkpoints.published_files import (
    SHIPPED,
    checkpoint_of_scene,
    holds_checkpoints,
    published_candidates,
    published_files,
)
from maskrf_core.settings.config import SMOKE, Config, load_config, may_differ, parse_overrides, readable
from maskrf_core.settings.sections import Device, MaskingSettings, Preset, Seed, Settings, Stage
from maskrf_core.support.errors import SettingsError, in_short
from maskrf_core.support.paths import ROOT, display_path, resolve
from maskrf_core.workbook.parameters.parameter_cells import read_parameter_cells

RUNS_VARIABLE = "MASKRF_RUNS"  # environment: where run folders go by default; for tests and publishing
USUAL_STRATEGY = MaskingSettings.model_fields["strategy"].default
SET_BY_NOTEBOOKS = ("stage", "preset", "data.data_root", "training.initial_weights")
NOT_IN_NAMES = ("preset", "data_root", "runs_root", "device", "steps")  # they leave a run the same run


def split_list(text: str | None) -> list[str] | None:
    """Split names that commas separate: `"a, b"` → `["a", "b"]`; None stays None."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def list_of(kind: type, within: str, low: int, high: int) -> BeforeValidator:
    """Make a validator of text that lists different numbers from `low` up to but not including `high`."""

    def check(text: Any) -> Any:
        if isinstance(text, int | float) and not isinstance(text, bool):
            text = str(text)  # papermill turns `-p mask_ratios 0.5` into a number before the notebook sees it
        try:
            values = [kind(part) for part in split_list(text)] if isinstance(text, str) else []
        except ValueError:
            values = []
        if not values or not all(low <= value < high for value in values) or len(set(values)) < len(values):
            raise PydanticCustomError("listed", "{within}", {"within": f"different {within}, separated by commas"})
        return text

    return BeforeValidator(check)


def _strategies(text: Any) -> Any:
    """Let pass different names of strategies, or `module:function`."""
    names = split_list(text) if isinstance(text, str) else []
    known = [USUAL_STRATEGY]
    if set(names) - set(known):
        from maskrf_core.model.masking.strategies import STRATEGIES  # imports torch, which the usual one can do without

        known = list(STRATEGIES)
    unknown = [name for name in names if name not in known and ":" not in name]
    if not names or unknown or len(set(names)) < len(names):
        nearest = [match for name in unknown for match in get_close_matches(name, known, n=1)]
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        within = f"different ones of {', '.join(known)} or module:function, separated by commas{hint}"
        raise PydanticCustomError("listed", "{within}", {"within": within})
    return text


def _pixel(text: Any) -> Any:
    """Let pass two numbers ≥ 0."""
    number = r"\s*\d+(\.\d+)?\s*"
    if not (isinstance(text, str) and re.fullmatch(f"{number},{number}", text)):
        raise PydanticCustomError("pixel", "two numbers ≥ 0, x and y, separated by a comma")
    return text


PixelText = Annotated[str, BeforeValidator(_pixel)]
StrategyList = Annotated[str, BeforeValidator(_strategies)]
SceneList = Annotated[str, Field(pattern=r"\S", description="names of scenes, separated by commas")]


class NotebookParameters(Settings):
    """The parameters that every notebook takes."""

    preset: Preset = "demo"
    data_root: str = Field("data", description="folder that holds the data sets")
    runs_root: str = Field("runs", description="folder of the run folders, relative to the checkout")
    seed: Seed = 0
    device: Device = "auto"
    overrides: str = Field("", description="any other settings: `data.rays=256, model.fine_samples=16`")

    stages: ClassVar[tuple[Stage, ...]] = ("finetune",)  # whose config the notebook needs: all of them are checked
    settings: ClassVar[dict[str, str]] = {  # parameter → the setting that it is
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
        "devices": "hardware.devices",
        "num_nodes": "hardware.num_nodes",
    }
    not_in_names: ClassVar[tuple[str, ...]] = ()  # parameters of this notebook that have no part in a training
    set_here: ClassVar[tuple[str, ...]] = ()  # settings that this notebook sets itself, beside those that all do
    names_weights: ClassVar[str | None] = None  # parameter that names a run folder or checkpoint

    def config(self, stage: Stage, asked: Mapping[str, Any] | None = None) -> Config:
        """Load the config of a stage: preset, then these parameters, then `asked`, then `overrides`.

        Raises:
            SettingsError: an override is unknown, of a wrong type, out of range, or the notebook's own to set.
        """
        values: dict[str, Any] = {"data.data_root": str(self.data_folder)}
        for name, setting in self.settings.items():
            if stage == "pretrain" or name != "mask_ratio":
                value = getattr(self, name, None)
                values[setting] = split_list(value) if setting.endswith("_scenes") else value
        overrides = parse_overrides(self.overrides)
        self._refuse_own(overrides, "overrides")
        return load_config(stage, self.sizes, values | dict(asked or {}) | overrides)

    @property
    def sizes(self) -> Preset:
        """Return the preset whose sizes count."""
        return self.preset

    def _refuse_own(self, settings: Iterable[str], asked_in: str) -> None:
        """Raise `SettingsError` if one of the settings, asked for in a parameter, is the notebook's to set."""
        parameters = {setting: name for name, setting in self.settings.items()}
        for setting in settings:
            if parameters.get(setting) in type(self).model_fields:
                raise SettingsError(f"{asked_in}: {setting} has a parameter of its own; set {parameters[setting]}")
            if setting in (*parameters, *SET_BY_NOTEBOOKS, *self.set_here):
                raise SettingsError(f"{asked_in}: {setting} is set by this notebook itself")

    def check_settings(self) -> None:
        """Make every config that the notebook needs, or raise `SettingsError`."""
        for stage in self.stages:
            self.config(stage)

    @property
    def data_folder(self) -> Path:
        """Return the folder of the data sets, whatever folder the notebook was started from."""
        return resolve(self.data_root).resolve()

    @property
    def runs(self) -> Path:
        """Return the folder of the run folders."""
        default = self.runs_root == NotebookParameters.model_fields["runs_root"].default
        if default and os.environ.get(RUNS_VARIABLE):
            return ROOT / os.environ[RUNS_VARIABLE]
        runs = ROOT / Path(self.runs_root).expanduser()
        return runs / "smoke" if os.environ.get(SMOKE) else runs

    def run_folder(self, kind: str) -> Path:
        """Return `<runs>/<preset>/<kind>`, followed by every parameter that makes it another run than by default."""
        parts = [kind]
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name == "overrides":
                value = ",".join(f"{key}={item}" for key, item in parse_overrides(value).items() if not may_differ(key))
            if value != field.default and value is not None and name not in (*NOT_IN_NAMES, *self.not_in_names):
                parts.append(f"{name}={value}" if name != "overrides" else value)
        return self.runs / self.preset / folder_name(parts)

    def weights_path(self, given: str) -> Path:
        """Find the run folder or checkpoint file that is meant: weights that ship, by name; below the run folders; any
        path; or a published checkpoint below the data root, in a folder of such the one of the parameter `scene`.

        Raises:
            SettingsError, CheckpointError: there is none; there is none of the scene.
        """
        if given in SHIPPED:
            return SHIPPED[given]
        candidates = [self.runs / self.preset / given, self.runs / given, resolve(given)]
        for path in [*candidates, *published_candidates(given, self.data_folder)]:
            if path.is_file() or (path / "config.yaml").is_file():
                return path.resolve()
            if holds_checkpoints(path):
                return checkpoint_of_scene(path, split_list(getattr(self, "scene", None)) or [])
        looked, known = (in_short([*map(display_path, at)]) for at in (candidates, published_files(self.data_folder)))
        raise SettingsError(
            f"{given!r}: no run folder (with config.yaml) and no checkpoint file. Looked for {looked}; published "
            f"checkpoints below the data root: {known or 'none'}."
        )


def folder_name(parts: Iterable[str]) -> str:
    """Join parts to a name of at most 120 plain characters; a digest stands for what is beyond 100 of a longer one."""
    name = re.sub(r"[^\w.=,+-]+", "_", "-".join(parts))
    return name if len(name) <= 120 else f"{name[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


Parameters = TypeVar("Parameters", bound=NotebookParameters)


def check_parameters(model: type[Parameters], namespace: Mapping[str, Any]) -> Parameters:
    """Return the notebook's parameters, from `globals()`, all of them checked.

    What was left out of a parameters cell that was run again is at its default, which is said.

    Raises:
        SettingsError: one line for each that is unknown (with the nearest name), of a wrong type or out of range, or
            was set by a cell that may not count any more.
    """
    cells = read_parameter_cells(namespace, model.model_fields)
    defaults = {name: field.default for name, field in model.model_fields.items()}
    lingers = {name for name in defaults if repr(namespace.get(name, defaults[name])) != repr(defaults[name])}
    faults = [
        f"{name}={namespace[name]!r}: was set by a cell that was run before and may not count any more. Assign it in "
        f"the cell that was run last: {name} = {namespace[name]!r}, or {defaults[name]!r} as by default"
        for name in cells.doubtful
        if name in lingers
    ]
    try:
        parameters = model.model_validate({name: namespace[name] for name in cells.names if name in namespace})
    except ValidationError as error:
        faults.insert(0, readable(error, model, noun="parameter"))
    if faults:
        raise SettingsError("\n".join(faults))
    for name in cells.dropped:
        if name in lingers:
            print(f"{name}: is set in no parameters cell any more, and at its default, {defaults[name]!r}")
    parameters.check_settings()
    if model.names_weights and getattr(parameters, model.names_weights):
        parameters.weights_path(getattr(parameters, model.names_weights))
    return parameters
