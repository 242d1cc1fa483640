"""Run folders: what a training or evaluation was asked for, what made it, and what came out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from maskrf_core.datasets.records import published_weights
from maskrf_core.runs.provenance import provenance
from maskrf_core.runs.status import TrainingStatus, read_status
from maskrf_core.settings.config import Config, may_differ, read_config, to_yaml
from maskrf_core.support.atomic_files import write_json, write_text
from maskrf_core.support.errors import RunError


@dataclass(frozen=True)
class Run:
    """A run folder. It alone says what the run is; starting it twice continues it."""

    folder: Path

    @staticmethod
    def start(folder: str | Path, config: Config) -> "Run":
        """Open the run in `folder`, or make it.

        Raises:
            RunError: the folder holds a run with another config, or something that is not a run.
        """
        run = Run(Path(folder))
        if run.config_path.is_file():
            run._continue_with(config)
        elif run.folder.is_dir() and any(not _left_by_an_interrupted_start(path) for path in run.folder.iterdir()):
            raise RunError(f"{run.folder}: is not empty and holds no config.yaml. Choose another run folder.")
        else:
            write_json(run.folder / "provenance.json", provenance(config.training.seed, config))
            write_text(run.config_path, to_yaml(config))  # last: with it the folder is a run
        return run

    @staticmethod
    def open(folder: str | Path) -> "Run":
        """Open an existing run.

        Raises:
            RunError: there is none.
        """
        run = Run(Path(folder))
        if not run.config_path.is_file():
            raise RunError(f"{run.folder}: is no run folder (no config.yaml). Train first, or check the path.")
        return run

    @property
    def config(self) -> Config:
        """The config that the run was made with."""
        return read_config(self.config_path)

    @property
    def config_path(self) -> Path:
        """Where the resolved config is."""
        return self.folder / "config.yaml"

    @property
    def last_checkpoint(self) -> Path:
        """Weights, optimiser and step to continue from."""
        return self.folder / "checkpoints" / "last.pt"

    @property
    def best_checkpoint(self) -> Path:
        """The weights with the best fine PSNR on the validation scenes."""
        return self.folder / "checkpoints" / "best.pt"

    @property
    def weights(self) -> Path:
        """The checkpoint that counts: the best one, or the last one of a per-scene training, which selects none: the
        only views to select by would be those that it is tested on."""
        return self.last_checkpoint if self.config.stage == "per_scene" else self.best_checkpoint

    @property
    def metrics_path(self) -> Path:
        """One row an interval: step, phase (train, validation or test), and the numbers."""
        return self.folder / "metrics.csv"

    @property
    def log_path(self) -> Path:
        """What the training processes of this run printed, one after the other."""
        return self.folder / "training.log"

    @property
    def stop_path(self) -> Path:
        """A file that people or programs put there to have the training save and end."""
        return self.folder / "stop"

    @property
    def status(self) -> TrainingStatus | None:
        """How its last training went or goes, as far as that was written; none before the first."""
        return read_status(self.folder)

    @property
    def previous_checkpoint(self) -> Path:
        """The checkpoint before the last one, kept in case that is damaged."""
        return self.folder / "checkpoints" / "previous.pt"

    @property
    def renders(self) -> Path:
        """Where evaluations of this run leave pictures and tables."""
        return self.folder / "renders"

    def metrics(self) -> pd.DataFrame:
        """What `metrics.csv` holds so far; empty before the first interval."""
        return (
            pd.read_csv(self.metrics_path) if self.metrics_path.is_file() else pd.DataFrame({"step": [], "phase": []})
        )

    def results(self) -> dict[str, Any]:
        """The numbers that were recorded, by what recorded them."""
        path = self.folder / "results.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def record(self, name: str, numbers: dict[str, Any]) -> None:
        """Keep numbers under a name, in place of earlier ones of that name."""
        write_json(self.folder / "results.json", self.results() | {name: numbers})

    def _continue_with(self, config: Config) -> None:
        differing = {
            name: values for name, values in differing_settings(self.config, config).items() if not may_differ(name)
        }
        if differing:
            listed = "\n".join(
                f"  {name}: {ours!r} there, {asked!r} asked for" for name, (ours, asked) in differing.items()
            )
            raise RunError(
                f"{self.folder}: holds a run with other settings, and nothing was changed there:\n{listed}\n"
                "Choose another run folder, ask for the same settings, or delete the folder."
            )
        done = self.metrics()["step"].max()
        if done > config.training.steps:
            raise RunError(
                f"{self.folder}: has done {done:.0f} steps already, {config.training.steps} are asked for. Choose "
                "another run folder, or ask for at least as many."
            )
        write_text(self.config_path, to_yaml(config))


def differing_settings(first: Config, second: Config) -> dict[str, tuple[Any, Any]]:
    """Dotted name → the two values, for every setting in which two configs differ."""
    one, other = settings_by_name(first), settings_by_name(second)
    return {name: (one.get(name), other.get(name)) for name in one | other if one.get(name) != other.get(name)}


def settings_by_name(config: Config) -> dict[str, Any]:
    """Return settings by dotted name, with the published weights of data sets, which older configs write out."""
    values = config.model_dump()
    values["data"]["data_set_weights"] = published_weights() | values["data"]["data_set_weights"]
    return flat(values)


def _left_by_an_interrupted_start(path: Path) -> bool:
    return path.name == "provenance.json" or path.name.startswith(".")


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted name."""
    found = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
