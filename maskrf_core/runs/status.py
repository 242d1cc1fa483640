"""How a training goes, written by itself for those who follow it: `training.json` of the run folder."""

import json
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from maskrf_core.settings.sections import Settings
from maskrf_core.support.atomic_files import write_atomically

STATUS_FILE = "training.json"
State = Literal["starting", "training", "finished", "stopped", "failed"]


class TrainingStatus(Settings):
    """The newest state of a run's training. One that was killed never wrote its end: `maskrf_core.runs.lock` knows."""

    state: State
    step: int
    """Steps done."""
    steps: int
    """Steps in all."""
    reason: str | None = None
    """Why it stopped or failed."""
    exit_code: int | None = None
    """`maskrf_core.training.process.stopping.ExitCode`, once it has ended."""
    pid: int
    host: str
    processes: int
    started: str
    """When this process began, ISO 8601 in UTC."""
    updated: str


def read_status(folder: Path) -> TrainingStatus | None:
    """What was written last; none where nothing was, or nothing that this version knows."""
    try:
        values = json.loads((folder / STATUS_FILE).read_text(encoding="utf-8"))
        return TrainingStatus.model_validate(values)
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError, ValidationError):
        return None


def write_status(folder: Path, status: TrainingStatus) -> None:
    """Replace what was written last."""
    text = status.model_dump_json(indent=2) + "\n"
    write_atomically(folder / STATUS_FILE, lambda file: file.write(text.encode()), durable=False)
