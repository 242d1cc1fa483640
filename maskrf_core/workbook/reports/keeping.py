"""Keeping an executed notebook in the folder of what it made, with a page for those who only read."""

import json
import os
from pathlib import Path

import nbformat

from maskrf_core.support.atomic_files import write_text
from maskrf_core.workbook.reports.index import write_index
from maskrf_core.workbook.reports.origin import this_notebook
from maskrf_core.workbook.reports.page import report_page

KEPT_VARIABLE = "MASKRF_KEPT"
"""Environment variable: a file in which a kernel notes where it kept its notebook, for what executes it."""


def keep(notebook: Path, folder: Path, runs_root: Path | None = None, *, name: str | None = None) -> Path:
    """Copy an executed notebook into `folder` as `<name>.ipynb`, and write the page `<name>.html` beside it.

    With `runs_root` its index is written again. Returns the page.
    """
    content = nbformat.read(notebook, as_version=4)
    kept = folder / f"{name or notebook.stem}.ipynb"
    if kept.resolve() != notebook.resolve():
        write_text(kept, nbformat.writes(content) + "\n")
    page = kept.with_suffix(".html")
    write_text(page, report_page(content, folder, kept.stem))
    if runs_root is not None:
        write_index(runs_root)
    return page


def keep_this_notebook(folder: Path, runs_root: Path, *, name: str) -> None:
    """Keep the notebook that calls this, as its file is now: without the calling cell, or as last saved by a person."""
    origin = this_notebook()
    if origin is None:
        print("no report was kept: what runs this notebook does not tell its file")
        return
    notebook, saved = origin
    page = keep(notebook, folder, runs_root, name=name)
    print(f"report in {display_path(page)}" + ("" if saved else " (the notebook as last saved)"))
    if os.environ.get(KEPT_VARIABLE) and Path(os.environ[KEPT_VARIABLE]).parent.is_dir():
        note = {"folder": str(folder.resolve()), "runs_root": str(runs_root.resolve()), "name": name}
        write_text(Path(os.environ[KEPT_VARIABLE]), json.dumps({"notebook": str(notebook), **note}))


def complete(notebook: Path, note: Path, *, failed: bool) -> None:
    """Once a notebook is executed: keep the whole of it where its last cell kept it; one that failed before, where it
    is."""
    kept = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    if kept.get("notebook") == str(notebook.resolve()):
        keep(notebook, Path(kept["folder"]), Path(kept["runs_root"]), name=kept["name"])
    elif failed and notebook.is_file():
        keep(notebook, notebook.parent)
