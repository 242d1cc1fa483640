"""`index.html` of the run folders: all of them on one page, made from the folders alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from PIL import Image

from maskrf_core.runs import Run
from maskrf_core.runs.run import CONFIG_FILE, folders_below
from maskrf_core.runs.status import is_owned
from maskrf_core.support.atomic_files import write_text
from maskrf_core.workbook.reports.facts import read_dict
from maskrf_core.workbook.reports.pictures import as_jpeg

TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL = (320, 65)
"""Longest side in pixels, and JPEG quality."""


@dataclass(frozen=True)
class Entry:
    """A folder's row."""

    name: str
    state: str
    steps: str
    psnr: str
    changed: float
    """Seconds since 1970."""
    thumbnail: str | None
    reports: dict[str, str]
    """Name → link."""
    figures: dict[str, str]

    @property
    def date(self) -> str:
        """In UTC."""
        return datetime.fromtimestamp(self.changed, timezone.utc).strftime("%Y-%m-%d %H:%M")


def write_index(runs_root: Path) -> Path:
    """Write `index.html` in the root of the run folders, newest first; a folder that is broken is listed as such."""
    entries = [entry for folder in folders_below(runs_root) if (entry := entry_of(folder, runs_root)) is not None]
    entries.sort(key=lambda entry: -entry.changed)
    pages = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    path = runs_root / "index.html"
    write_text(path, pages.get_template("index.html.j2").render(entries=entries))
    return path


def entry_of(folder: Path, root: Path) -> Entry | None:
    """The row of a run folder, or of one with results or reports; none of any other."""
    is_run = (folder / CONFIG_FILE).is_file()
    reports = [] if folder == root else sorted(folder.glob("*.html"))
    if not (is_run or reports or (folder / "results.json").is_file()):
        return None
    figures = sorted([*folder.glob("*.png"), *folder.glob("figures/*.png")])
    name = folder.relative_to(root).as_posix()
    state, steps, psnr = _of_run(Run(folder)) if is_run else ("results", "", _best_of_methods(folder))
    return Entry(
        *(name, state, steps, psnr, _changed(folder), _thumbnail(figures)),
        reports=_links(reports, root),
        figures=_links(figures, root),
    )


def _of_run(run: Run) -> tuple[str, str, str]:
    """State, steps and best validation PSNR."""
    try:
        status = run.status
        state, steps = ("not started", "") if status is None else (status.state, f"{status.step} of {status.steps}")
        if state in ("starting", "training") and not is_owned(run.folder):
            state = "killed"
    except OSError:
        state, steps = "not readable", ""
    try:
        metrics = run.metrics()
        best = metrics.loc[metrics["phase"] == "validation", "fine_psnr"].max()
        psnr = f"{best:.2f} dB" if best == best else ""
    except (OSError, ValueError, KeyError, TypeError):  # half a file, or none of validation
        psnr = ""
    return state, steps, psnr


def _best_of_methods(folder: Path) -> str:
    results: Any = read_dict(folder / "results.json").get("results")
    methods = results.get("methods") if isinstance(results, dict) else None
    rows = methods.values() if isinstance(methods, dict) else []
    values = [value for row in rows if isinstance(row, dict) and isinstance(value := row.get("psnr"), int | float)]
    return f"{max(values):.2f} dB (test)" if values else ""


def _changed(folder: Path) -> float:
    """When its newest file was written."""
    times = [folder.stat().st_mtime]
    for name in (CONFIG_FILE, "training.json", "metrics.csv", "results.json"):
        if (path := folder / name).is_file():
            times.append(path.stat().st_mtime)
    return max(times)


def _thumbnail(figures: Iterable[Path]) -> str | None:
    for path in sorted(figures, key=lambda path: path.name != "renders.png"):
        try:
            with Image.open(path) as picture:
                return as_jpeg(picture, *THUMBNAIL)
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
    return None


def _links(paths: Iterable[Path], root: Path) -> dict[str, str]:
    return {path.stem: quote(path.relative_to(root).as_posix()) for path in paths}
