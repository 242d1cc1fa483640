"""What made a run, in words, from what its folder tells: `provenance.json`, `config.yaml`, `results.json`."""

import json
from pathlib import Path
from typing import Any

from maskrf_core.runs import differing_settings
from maskrf_core.settings.config import load_config, read_config
from maskrf_core.support.errors import MaskrfError


def facts_of(folder: Path) -> list[tuple[str, str]]:
    """Label and text of everything that is known."""
    made_by = provenance_of(folder)
    if not made_by:
        return [("made by", "not told: no provenance.json")]
    sessions = [session for session in made_by.get("sessions") or [] if isinstance(session, dict)]
    found = {
        "date": made_by.get("started"),
        "settings that differ from the preset's": differing(folder),
        "commit": _commit(made_by),
        "versions": _pairs(made_by.get("versions")),
        "python": made_by.get("python"),
        "device": made_by.get("gpu") or _last(sessions, "device") or "cpu",
        "host": made_by.get("host"),
        "seed": made_by.get("seed"),
        "fingerprints of the data": _pairs(made_by.get("data")),
    }
    if sessions:
        found["sessions"] = len(sessions)
        found |= _costs(sessions)
    return [(label, str(text)) for label, text in found.items() if text not in (None, "")]


def provenance_of(folder: Path) -> dict[str, Any]:
    """What a folder tells of what made it; empty where it tells nothing readable."""
    made_by = read_dict(folder / "provenance.json") or read_dict(folder / "results.json").get("provenance")
    return made_by if isinstance(made_by, dict) else {}


def read_dict(path: Path) -> dict[str, Any]:
    """A JSON file's object; empty where there is none, or something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def differing(folder: Path) -> str:
    """The settings of a run that are not its preset's."""
    try:
        config = read_config(folder / "config.yaml")
        defaults = load_config(config.stage, config.preset)
    except (OSError, MaskrfError, ValueError):
        return ""
    return ", ".join(f"{name}={value}" for name, (value, _) in differing_settings(config, defaults).items()) or "none"


def _commit(made_by: dict[str, Any]) -> str | None:
    commit = made_by.get("git_commit")
    return commit and f"{commit}{', with changes that were not committed' if made_by.get('git_changes') else ''}"


def _costs(sessions: list[dict[str, Any]]) -> dict[str, str]:
    def numbers(key: str) -> list[float]:
        return [float(value) for session in sessions if isinstance(value := session.get(key), int | float)]

    costs = {}
    if seconds := numbers("wall_seconds"):
        costs["wall time"] = f"{sum(seconds):.0f} s"
    if memory := numbers("peak_memory_mib"):
        costs["peak memory"] = f"{max(memory):.0f} MiB"
    if memory := numbers("gpu_peak_memory_mib"):
        costs["peak memory of the GPU"] = f"{max(memory):.0f} MiB"
    return costs


def _last(sessions: list[dict[str, Any]], key: str) -> Any:
    return next((session[key] for session in reversed(sessions) if session.get(key)), None)


def _pairs(values: Any) -> str | None:
    return ", ".join(f"{name} {value}" for name, value in values.items()) if isinstance(values, dict) else None
