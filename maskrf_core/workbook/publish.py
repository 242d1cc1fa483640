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
from jupyter_client.kernelspec import get_kernel_spec
from nbformat import NotebookNode

from maskrf_core.settings.config import SMOKE
from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.execution import KERNEL, execute, notebooks
from maskrf_core.workbook.parameters import RUNS_VARIABLE
from maskrf_core.workbook.recording import joined_streams

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
    """Return the same page without what differs from one execution to the next: times and notes of tools.

    Its metadata are those that JupyterLab writes when it opens the page, which so stays as it is.
    """
    notebook = nbformat.from_dict(notebook)
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": kernelspec(), "language_info": notebook.metadata.language_info}
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": tags} if (tags := cell.metadata.get("tags")) else {})
        if cell.cell_type == "code":
            cell.outputs = joined_streams(cell.outputs)
    return notebook


def kernelspec() -> dict[str, str]:
    """Return what JupyterLab notes of the kernel that the notebooks use."""
    spec = get_kernel_spec(KERNEL)
    return {"display_name": spec.display_name, "language": spec.language, "name": KERNEL}


def page_faults(page: NotebookNode, paths: Iterable[str]) -> list[str]:
    """Name what keeps an executed notebook off the page: its size, a path of the machine in an output, or an error."""
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
    """Return all of an output that can be read: prints, tables, tracebacks; not the bytes of pictures."""
    data = output.get("data", {})
    readable = [str(value) for kind, value in data.items() if not kind.startswith("image/")]
    return "\n".join([output.get("text", ""), *output.get("traceback", []), *readable])


def shows_path(text: str, path: str) -> bool:
    """Return whether a path, or one below it, stands in a text."""
    return re.search(rf"(?<![\w.]){re.escape(path)}(?![\w-])", text) is not None


def machine_paths() -> list[str]:
    """Return the folders whose names say something about this machine only."""
    folders = {ROOT, ROOT.parent, Path.home(), Path(tempfile.gettempdir()), Path(sys.prefix)}
    return sorted(str(folder) for folder in folders if len(folder.parts) > 1)


def as_text(page: NotebookNode) -> str:
    """Return the file's content."""
    return nbformat.writes(page) + "\n"


if __name__ == "__main__":
    sys.exit(main())
