"""Make pages that need nothing else: one of a notebook with what made it on top, and an index of all run folders."""

import base64
import io
import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from PIL import Image

from maskrf_core import runs
from maskrf_core.runs.run import CONFIG_FILE, folders_below
from maskrf_core.runs.table import UNREADABLE
from maskrf_core.settings.config import load_config, read_config
from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import MaskrfError, printable

TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL = (320, 65)  # longest side in pixels, and JPEG quality
LEAVING = re.compile(r"</?(meta|form|base)\b[^>]*>?", re.IGNORECASE)  # tags that send a reader elsewhere, or could


def report_page(notebook: NotebookNode, folder: Path, title: str) -> str:
    """Return the page as HTML: what `folder` tells of what made it, then the notebook with its code folded.

    Pictures are in the page. Its content security policy forbids the browser to load or send anything, and to run any
    script but the one of `moving_pictures`, known by its hash, which does neither; no policy forbids a page to send its
    reader elsewhere, so what would do that is left out.
    """
    from maskrf_core.workbook.figures.moving_pictures import script_source  # needs torch; the index does not

    style = (TEMPLATES / "report" / "style.css").read_text(encoding="utf-8")
    resources = {"report": {"title": title, "facts": facts_of(folder), "style": style, "script": script_source()}}
    exporter = HTMLExporter(template_name="report", extra_template_basedirs=[str(TEMPLATES)], embed_images=True)
    ours, body, cells = exporter.from_notebook_node(notebook, resources=resources)[0].partition("<body>")
    return printable(f"{ours}{body}{LEAVING.sub('', cells)}")


def facts_of(folder: Path) -> list[tuple[str, str]]:
    """Return label and text of all that `provenance.json`, `config.yaml` and `results.json` tell of what made a run."""
    try:
        return _facts_of(folder)
    except Exception as error:  # a file that others damaged or made up can raise any: the rest of the page is shown
        return [("made by", printable(f"cannot be read ({type(error).__name__}: {error})"))]


def _facts_of(folder: Path) -> list[tuple[str, str]]:
    made_by = _read_dict(folder / "provenance.json") or _read_dict(folder / "results.json").get("provenance")
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


def write_index(runs_root: Path) -> Path:
    """Write `index.html` in the root of the run folders, newest first; a folder that is broken is listed as such."""
    table = runs.table(runs_root)
    entries = [entry for folder in folders_below(runs_root) if (entry := _entry(folder, runs_root, table))]
    entries.sort(key=lambda entry: entry["changed"], reverse=True)
    pages = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    path = runs_root / "index.html"
    write_text(path, printable(pages.get_template("index.html.j2").render(entries=entries)))
    return path


def _entry(folder: Path, root: Path, table: pd.DataFrame) -> dict[str, Any] | None:
    """Return what the index tells of a run folder, or of one with results or reports; None for any other."""
    try:
        return _entry_of(folder, root, table)
    except Exception as error:  # as above
        name, state = folder.relative_to(root).as_posix(), f"{UNREADABLE} ({type(error).__name__})"
        return {"name": name, "state": state, "changed": datetime.fromtimestamp(0, timezone.utc)}


def _entry_of(folder: Path, root: Path, table: pd.DataFrame) -> dict[str, Any] | None:
    name, results = folder.relative_to(root).as_posix(), folder / "results.json"
    reports = [] if folder == root else sorted(folder.glob("*.html"))
    if name in table.index:
        known = table.loc[name].dropna().to_dict()
    elif reports or results.is_file():
        known = {"state": "results", "test_psnr": _best_psnr(results)}
    else:
        return None
    figures = sorted([*folder.glob("*.png"), *folder.glob("figures/*.png")])
    files = [folder / name for name in (CONFIG_FILE, "training.json", "metrics.csv", "results.json")]
    changed = max(path.stat().st_mtime for path in [folder, *files] if path.exists())
    return known | {
        "name": name,
        "changed": datetime.fromtimestamp(changed, timezone.utc),
        "thumbnail": _thumbnail(figures),
        "reports": {path.stem: quote(os.fsencode(path.relative_to(root))) for path in reports},
        "figures": {path.stem: quote(os.fsencode(path.relative_to(root))) for path in figures},
    }


def _best_psnr(results: Path) -> float | None:
    """Return the largest PSNR of the methods in a file of results, in dB; None if it tells none."""
    with suppress(AttributeError, TypeError, ValueError, OverflowError):
        methods = _read_dict(results).get("results", {}).get("methods", {})
        return max(float(row["psnr"]) for row in methods.values() if row.get("psnr") is not None)
    return None


def _thumbnail(figures: Iterable[Path]) -> str | None:
    """Return the renders, or the first picture that can be read, as small JPEG in base64."""
    side, quality = THUMBNAIL
    for path in sorted(figures, key=lambda path: path.name != "renders.png"):
        with suppress(OSError, ValueError, Image.DecompressionBombError), Image.open(path) as picture:
            small, encoded = picture.convert("RGB"), io.BytesIO()
            small.thumbnail((side, side))
            small.save(encoded, "jpeg", quality=quality, optimize=True)
            return base64.b64encode(encoded.getvalue()).decode()
    return None


def _read_dict(path: Path) -> dict[str, Any]:
    """Return a JSON file's object; an empty one if there is none, or something else."""
    with suppress(OSError, ValueError, RecursionError):
        if isinstance(values := json.loads(path.read_text(encoding="utf-8")), dict):
            return values
    return {}


def _differing(folder: Path) -> str:
    """Return the settings of a run that are not its preset's; nothing if the folder holds no run."""
    try:
        config = read_config(folder / "config.yaml")
        differing = runs.differing_settings(config, load_config(config.stage, config.preset))
    except (OSError, MaskrfError, ValueError):
        return ""
    return ", ".join(f"{name}={value}" for name, (value, _) in differing.items()) or "none"


def _merged(sessions: list[dict[str, Any]], key: str, merge: Any, unit: str) -> str | None:
    """Return the sum or maximum over the sessions that tell the number, with its unit."""
    numbers = [float(value) for session in sessions if isinstance(value := session.get(key), int | float)]
    return f"{merge(numbers):.0f} {unit}" if numbers else None


def _pairs(values: Any) -> str | None:
    return ", ".join(f"{name} {value}" for name, value in values.items()) if isinstance(values, dict) else None
