"""The page of a notebook: one HTML file that needs nothing else, with what made it on top."""

import json
from pathlib import Path
from typing import Any

from nbconvert import HTMLExporter
from nbformat import NotebookNode

from maskrf_core.runs import differing_settings
from maskrf_core.settings.config import load_config, read_config
from maskrf_core.support.errors import MaskrfError

TEMPLATES = Path(__file__).parent / "templates"


def report_page(notebook: NotebookNode, folder: Path, title: str) -> str:
    """Return the page as HTML: what `folder` tells of what made it, then the notebook with its code folded.

    Pictures are in the page. Its content security policy forbids the browser to load or run anything.
    """
    style = (TEMPLATES / "report" / "style.css").read_text(encoding="utf-8")
    resources = {"report": {"title": title, "facts": facts_of(folder), "style": style}}
    exporter = HTMLExporter(template_name="report", extra_template_basedirs=[str(TEMPLATES)], embed_images=True)
    page, _ = exporter.from_notebook_node(notebook, resources=resources)
    return page


def facts_of(folder: Path) -> list[tuple[str, str]]:
    """Return label and text of all that `provenance.json`, `config.yaml` and `results.json` tell of what made a run."""
    made_by = read_dict(folder / "provenance.json") or read_dict(folder / "results.json").get("provenance")
    if not isinstance(made_by, dict) or not made_by:
        return [("made by", "not told: no provenance.json")]
    sessions = [session for session in made_by.get("sessions") or [] if isinstance(session, dict)]
    commit = made_by.get("git_commit")
    changed = ", with changes that were not committed" if made_by.get("git_changes") else ""
    devices = [session["device"] for session in sessions if session.get("device")]
    found = {
        "date": made_by.get("started"),
        "settings that differ from the preset's": _differing(folder),
        "commit": commit and f"{commit}{changed}",
        "versions": _pairs(made_by.get("versions")),
        "python": made_by.get("python"),
        "device": made_by.get("gpu") or (devices[-1] if devices else "cpu"),
        "host": made_by.get("host"),
        "seed": made_by.get("seed"),
        "fingerprints of the data": _pairs(made_by.get("data")),
        "sessions": len(sessions) or None,
        "wall time": _merged(sessions, "wall_seconds", sum, "s"),
        "peak memory": _merged(sessions, "peak_memory_mib", max, "MiB"),
        "peak memory of the GPU": _merged(sessions, "gpu_peak_memory_mib", max, "MiB"),
    }
    return [(label, str(text)) for label, text in found.items() if text not in (None, "")]


def read_dict(path: Path) -> dict[str, Any]:
    """Return a JSON file's object; an empty one if there is none, or something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _differing(folder: Path) -> str:
    """Return the settings of a run that are not its preset's; nothing if the folder holds no run."""
    try:
        config = read_config(folder / "config.yaml")
        defaults = load_config(config.stage, config.preset)
    except (OSError, MaskrfError, ValueError):
        return ""
    return ", ".join(f"{name}={value}" for name, (value, _) in differing_settings(config, defaults).items()) or "none"


def _merged(sessions: list[dict[str, Any]], key: str, merge: Any, unit: str) -> str | None:
    """Return the sum or maximum over the sessions that tell the number, with its unit."""
    numbers = [float(value) for session in sessions if isinstance(value := session.get(key), int | float)]
    return f"{merge(numbers):.0f} {unit}" if numbers else None


def _pairs(values: Any) -> str | None:
    return ", ".join(f"{name} {value}" for name, value in values.items()) if isinstance(values, dict) else None
