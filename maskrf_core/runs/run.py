"""Run folders: the config of a training, its files, its results, and how to find such folders."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskrf_core.datasets.records import published_weights, record_of
from maskrf_core.runs.provenance import PROVENANCE_FILE, home_shortened, provenance
from maskrf_core.runs.status import STATUS_FILE, TrainingStatus
from maskrf_core.settings.config import Config, may_differ, read_config, to_yaml
from maskrf_core.support.atomic_files import write_json, write_text
from maskrf_core.support.errors import RunError
from maskrf_core.support.file_locks import in_turns
from maskrf_core.support.paths import display_path

if TYPE_CHECKING:
    import pandas as pd

CONFIG_FILE = "config.yaml"
FOLDERS_WITHOUT_RUNS = ("checkpoints", "tensorboard", "renders", "figures", "cache")  # they hold many files
KEPT = {
    "data": ("view_choice", "validation_scenes"),
    "training": ("validation_views",),
    "masking": ("of_steps",),
}
"""Settings by section that a config may leave open, and a run that was begun says."""
INITIAL_WEIGHTS = "initial_weights"  # name of the results that say what a run began from


def _file(name: str, about: str) -> property:
    """Make a property that is the path of a file in the run folder."""
    return property(lambda run: run.folder / name, doc=about)


@dataclass(frozen=True)
class Run:
    """A run folder. It alone says what the run is; starting it twice continues it."""

    folder: Path

    config_path = _file(CONFIG_FILE, "The resolved config.")
    last_checkpoint = _file("checkpoints/last.pt", "Weights, optimiser and step to continue from.")
    previous_checkpoint = _file("checkpoints/previous.pt", "The checkpoint before, kept in case the last is damaged.")
    best_checkpoint = _file("checkpoints/best.pt", "The weights with the best fine PSNR on the validation scenes.")
    metrics_path = _file("metrics.csv", "A row an interval: step, phase (train, validation or test), and the numbers.")
    results_path = _file("results.json", "The numbers that were recorded, by name.")
    log_path = _file("training.log", "All that the training processes of this run printed, one after the other.")
    stop_path = _file("stop", "A file that people or programs create to have the training save and end.")
    renders = _file("renders", "The folder in which evaluations of this run leave pictures and tables.")

    @staticmethod
    def start(folder: str | Path, config: Config) -> "Run":
        """Open the run in `folder`, or make it. What is not asked for of `KEPT`, a run keeps as it was begun.

        Raises:
            RunError: the folder holds a run with another config, or something that is not a run.
        """
        run = Run(Path(folder))
        if run.config_path.is_file():
            config = _with_kept(config, run.config)
            run._check_continued_with(config)
        elif any(path.name != PROVENANCE_FILE for path in run.folder.glob("[!.]*")):  # not of an interrupted start
            raise RunError(f"{run.folder}: is not empty and holds no config.yaml. Choose another run folder.")
        else:
            config = _with_of_steps(config)
            write_json(run.folder / PROVENANCE_FILE, provenance(config.training.seed, config))
        write_text(run.config_path, to_yaml(config))  # last: with it the folder is a run
        return run

    @staticmethod
    def open(folder: str | Path) -> "Run":
        """Open an existing run, or raise `RunError` where there is none."""
        run = Run(Path(folder))
        if not run.config_path.is_file():
            raise RunError(f"{run.folder}: is no run folder (no config.yaml). Train first, or check the path.")
        return run

    @property
    def config(self) -> Config:
        """Read the config that the run was made with."""
        return read_config(self.config_path)

    @property
    def weights(self) -> Path:
        """Return the checkpoint that counts: the best one; of a per-scene training, which selects none, the last."""
        return self.last_checkpoint if self.config.stage == "per_scene" else self.best_checkpoint

    @property
    def status(self) -> TrainingStatus | None:
        """Read how the last training went or goes; none where nothing was written, or nothing that is known here."""
        try:
            return TrainingStatus.model_validate_json((self.folder / STATUS_FILE).read_bytes())
        except (FileNotFoundError, ValueError):  # pydantic's error among them
            return None

    def metrics(self) -> "pd.DataFrame":
        """Read `metrics.csv` as far as it was written whole; empty before the first interval."""
        import pandas as pd

        return pd.read_csv(io.StringIO(self._whole_lines()))

    def metric_rows(self) -> list[dict[str, str]]:
        """Read the rows of `metrics.csv` as they are written, as far as that was done whole; without pandas."""
        return list(csv.DictReader(io.StringIO(self._whole_lines())))

    def results(self) -> dict[str, Any]:
        """Read the numbers that were recorded, by the name of what recorded them; `RunError` if they are damaged."""
        path = self.results_path
        try:
            return {**json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}
        except (ValueError, TypeError, RecursionError) as error:
            raise RunError(
                f"{path}: is damaged ({error}). Move it away: the rest of the run stays as it is."
            ) from error

    def record(self, name: str, numbers: dict[str, Any]) -> None:
        """Keep numbers under a name, in place of earlier ones of that name; others may record at the same time."""
        with in_turns(self.folder / ".results.lock"):
            write_json(self.results_path, self.results() | {name: numbers})

    def _whole_lines(self) -> str:
        """Read the metrics without a last line that a kill cut short."""
        text = self.metrics_path.read_text(encoding="utf-8") if self.metrics_path.is_file() else "step,phase\n"
        return text[: text.rfind("\n") + 1]

    def _check_continued_with(self, config: Config) -> None:
        pairs = {name: pair for name, pair in differing_settings(self.config, config).items() if not may_differ(name)}
        if pairs:
            listed = "".join(
                f"  {name}: {ours!r} there, {asked!r} asked for\n" for name, (ours, asked) in pairs.items()
            )
            raise RunError(
                f"{self.folder}: holds a run with other settings, and nothing was changed there:\n{listed}"
                "Choose another run folder, ask for the same settings, or delete the folder."
            )
        done = max((int(row["step"]) for row in self.metric_rows()), default=0)
        if done > config.training.steps:
            raise RunError(
                f"{self.folder}: has done {done} steps already, {config.training.steps} are asked for. Choose "
                "another run folder, or ask for at least as many."
            )


def _with_kept(config: Config, begun: Config) -> Config:
    """Return the config with what it leaves open of `KEPT` taken from that of a run that was begun."""
    for section, names in KEPT.items():
        asked, there = getattr(config, section), getattr(begun, section)
        kept = {name: getattr(there, name) for name in names if not getattr(asked, name)}
        config = config.model_copy(update={section: asked.model_copy(update=kept)})
    return config


def _with_of_steps(config: Config) -> Config:
    """Return the config with the steps that shares are of, so that they stay what they are if the run gets longer."""
    masking = config.masking.model_copy(update={"of_steps": config.masking.of_steps or config.training.steps})
    return config.model_copy(update={"masking": masking})


def hold_to_weights(run: Run, weights: Path) -> None:
    """Note the hash of the initial weights, and raise `RunError` where the run began from others."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    noted = run.results().get(INITIAL_WEIGHTS)
    if noted is None:
        run.record(INITIAL_WEIGHTS, {"file": home_shortened(display_path(weights)), "sha256": digest})
    elif noted["sha256"] != digest:
        raise RunError(
            f"{display_path(run.folder)}: began from weights that {display_path(weights)} no longer holds; they were "
            "trained further or anew since. Delete this run folder, or choose another with the parameter run."
        )


def differing_settings(first: Config, second: Config) -> dict[str, tuple[Any, Any]]:
    """Return dotted name → the two values, for every setting in which two configs differ."""
    one, other = settings_by_name(first), settings_by_name(second)
    return {name: (one.get(name), other.get(name)) for name in one | other if one.get(name) != other.get(name)}


def settings_by_name(config: Config) -> dict[str, Any]:
    """Return settings by dotted name, with what records of data sets say where the config does not, as older ones do:
    weights, and the choice of views where it is one for all scenes. The steps that shares are of are its own."""
    values = config.model_dump()
    data, scenes = values["data"], [*config.data.train_scenes, *config.data.validation_scenes]
    data["data_set_weights"] = published_weights() | data["data_set_weights"]
    choices = {record_of(name).view_choice for name in [*scenes, *config.evaluation.test_scenes]}
    if data["view_choice"] is None and len(choices) == 1:
        (data["view_choice"],) = choices
    values["masking"]["of_steps"] = config.masking.of_steps or config.training.steps
    return flat(values)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by dotted name."""
    found = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def run_folders(root: Path) -> Iterator[Path]:
    """Find every run folder in or below `root`, by name; none where `root` is missing.

    Folders that are linked to are looked into, once each. What cannot be read is passed over.
    """
    return (folder for folder in folders_below(root) if (folder / CONFIG_FILE).is_file())


def folders_below(root: Path) -> Iterator[Path]:
    """Find `root` and the folders below it in which runs and results can be, by name."""
    seen = set()
    for place, below, _ in os.walk(root, followlinks=True):
        below.sort()
        real = os.path.realpath(place)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = [name for name in below if not name.startswith(".") and name not in FOLDERS_WITHOUT_RUNS]
        yield Path(place)
