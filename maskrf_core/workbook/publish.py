"""Execute the committed notebooks in place: `python -m maskrf_core.workbook.publish`, which `make notebooks` calls.

They are trained anew, in run folders of their own, so that a reader sees what a bare clone gives. A notebook that
fails, grows too large or shows a path of this machine changes nothing.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from maskrf_core.settings.config import SMOKE
from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.execution import execute, notebooks
from maskrf_core.workbook.parameters import RUNS_VARIABLE

RUNS = "runs/published"
LARGEST = 300_000
"""Bytes of a notebook with its pictures."""


def main() -> int:
    """Execute, clean, check and only then replace all notebooks; 1 where one of them is not fit for the page."""
    os.environ[RUNS_VARIABLE] = RUNS
    os.environ.pop(SMOKE, None)
    shutil.rmtree(ROOT / RUNS, ignore_errors=True)
    pages = {}
    for notebook in notebooks():
        print(notebook.stem, flush=True)
        execution = execute(notebook, ROOT / RUNS / "notebooks" / notebook.name)
        page = cleaned(execution.notebook)
        faults = [execution.error] if execution.error else page_faults(page, machine_paths())
        if faults:
            print(f"{notebook.stem} was not published:", *faults, sep="\n  ", file=sys.stderr)
            return 1
        pages[notebook] = page
    for notebook, page in pages.items():
        write_text(notebook, as_text(page))
        print(f"{notebook.relative_to(ROOT)}: {len(as_text(page)) / 1000:.0f} kB")
    return 0


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """The same page without what differs from one execution to the next: times, versions, tool's notes."""
    notebook = nbformat.from_dict(notebook)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": tags} if (tags := cell.metadata.get("tags")) else {})
        if cell.cell_type == "code":
            cell.outputs = joined_streams(cell.outputs)
    return notebook


def joined_streams(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """Consecutive prints as one output: how a kernel cuts them is chance."""
    joined: list[NotebookNode] = []
    for output in outputs:
        if joined and output.output_type == "stream" == joined[-1].output_type and output.name == joined[-1].name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def page_faults(page: NotebookNode, paths: Iterable[str]) -> list[str]:
    """What keeps an executed notebook off the page: its size, a path of the machine in an output, or an error."""
    faults = []
    if (size := len(as_text(page).encode())) > LARGEST:
        faults.append(f"{size} bytes: more than {LARGEST}; draw smaller or fewer figures")
    for cell in page.cells:
        for output in cell.get("outputs", []):
            text = output_text(output)
            faults += [f"cell {cell.id} shows the path {path}" for path in paths if shows_path(text, path)]
            if output.output_type == "error":
                faults.append(f"cell {cell.id} ends in {output.ename}")
    return faults


def output_text(output: NotebookNode) -> str:
    """Everything of an output that can be read: prints, tables, tracebacks; not the bytes of pictures."""
    data = output.get("data", {})
    readable = [str(value) for kind, value in data.items() if not kind.startswith("image/")]
    return "\n".join([output.get("text", ""), *output.get("traceback", []), *readable])


def shows_path(text: str, path: str) -> bool:
    """Whether a path, or one below it, stands in a text."""
    return re.search(rf"(?<![\w.]){re.escape(path)}(?![\w-])", text) is not None


def machine_paths() -> list[str]:
    """Folders whose names say something about this machine only."""
    folders = {ROOT, ROOT.parent, Path.home(), Path(tempfile.gettempdir()), Path(sys.prefix)}
    return sorted(str(folder) for folder in folders if len(folder.parts) > 1)


def as_text(page: NotebookNode) -> str:
    """The file's content."""
    return nbformat.writes(page) + "\n"


if __name__ == "__main__":
    sys.exit(main())
