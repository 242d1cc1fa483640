"""`index.html` of the run folders: all of them on one page, made from the folders alone."""

import base64
import io
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
from PIL import Image

from maskrf_core import runs
from maskrf_core.runs.run import CONFIG_FILE, folders_below
from maskrf_core.support.atomic_files import write_text
from maskrf_core.workbook.reports.page import TEMPLATES, read_dict

THUMBNAIL = (320, 65)  # longest side in pixels, and JPEG quality


def write_index(runs_root: Path) -> Path:
    """Write `index.html` in the root of the run folders, newest first; a folder that is broken is listed as such."""
    table = runs.table(runs_root)
    entries = [entry for folder in folders_below(runs_root) if (entry := _entry(folder, runs_root, table)) is not None]
    entries.sort(key=lambda entry: -entry["changed"])
    pages = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    path = runs_root / "index.html"
    write_text(path, pages.get_template("index.html.j2").render(entries=entries))
    return path


def _entry(folder: Path, root: Path, table: pd.DataFrame) -> dict[str, Any] | None:
    """Return the row of a run folder, or of one with results or reports; None for any other."""
    name = folder.relative_to(root).as_posix()
    reports = [] if folder == root else sorted(folder.glob("*.html"))
    if name in table.index:
        run = table.loc[name]
        known = {"state": run["state"], "steps": _text(run["step"], f"{{}} of {run['steps']}")}
        known["psnr"] = _text(run["best_fine_psnr"], "{:.2f} dB")
    elif reports or (folder / "results.json").is_file():
        known = {"state": "results", "psnr": _best_of_methods(folder)}
    else:
        return None
    figures = sorted([*folder.glob("*.png"), *folder.glob("figures/*.png")])
    changed = _changed(folder)
    return known | {
        "name": name,
        "changed": changed,
        "date": datetime.fromtimestamp(changed, timezone.utc).strftime("%Y-%m-%d %H:%M"),
        "thumbnail": _thumbnail(figures),
        "reports": _links(reports, root),
        "figures": _links(figures, root),
    }


def _text(value: Any, template: str) -> str:
    return "" if pd.isna(value) else template.format(value)


def _best_of_methods(folder: Path) -> str:
    results: Any = read_dict(folder / "results.json").get("results")
    methods = results.get("methods") if isinstance(results, dict) else None
    rows = methods.values() if isinstance(methods, dict) else []
    values = [value for row in rows if isinstance(row, dict) and isinstance(value := row.get("psnr"), int | float)]
    return f"{max(values):.2f} dB (test)" if values else ""


def _changed(folder: Path) -> float:
    """Return when the newest of its files was written, in seconds since 1970."""
    files = [folder / name for name in (CONFIG_FILE, "training.json", "metrics.csv", "results.json")]
    return max(path.stat().st_mtime for path in [folder, *files] if path.exists())


def _thumbnail(figures: Iterable[Path]) -> str | None:
    """Return the renders, or the first picture that can be read, as small JPEG in base64."""
    side, quality = THUMBNAIL
    for path in sorted(figures, key=lambda path: path.name != "renders.png"):
        try:
            with Image.open(path) as picture:
                small = picture.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
        small.thumbnail((side, side))
        encoded = io.BytesIO()
        small.save(encoded, "jpeg", quality=quality, optimize=True)
        return base64.b64encode(encoded.getvalue()).decode()
    return None


def _links(paths: Iterable[Path], root: Path) -> dict[str, str]:
    return {path.stem: quote(path.relative_to(root).as_posix()) for path in paths}
