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
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode

from maskrf_core.runs.run import run_folders
from maskrf_core.runs.status import is_owned
from maskrf_core.settings.config import SMOKE
from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.paths import ROOT, display_path
from maskrf_core.workbook.execution import KERNEL, execute, notebooks
from maskrf_core.workbook.figures.moving_pictures import CLASS, STILL
from maskrf_core.workbook.parameters import RUNS_VARIABLE
from maskrf_core.workbook.reports.cards import keep_numbers

RUNS = "runs/.published"  # hidden: no parameter `run` leads there, as it is made anew each time
LARGEST = 300_000  # bytes of a notebook with its pictures


def main() -> int:
    """Execute, clean, check and only then replace all notebooks; 1 where one of them is not fit for the page."""
    os.environ[RUNS_VARIABLE] = RUNS
    os.environ.pop(SMOKE, None)
    if taken := [folder for folder in run_folders(ROOT / RUNS) if is_owned(folder)]:
        print(
            f"{display_path(taken[0])}: is being trained. Nothing was removed; wait until it is done.", file=sys.stderr
        )
        return 1
    shutil.rmtree(ROOT / RUNS, ignore_errors=True)
    pages = {}
    for notebook in notebooks():
        print(notebook.stem, flush=True)
        executed = ROOT / RUNS / "notebooks" / notebook.name
        error = execute(notebook, executed)
        page = cleaned(nbformat.read(executed, 4))
        if faults := [error] if error else page_faults(page, machine_paths()):
            print(f"{notebook.stem} was not published:", *faults, sep="\n  ", file=sys.stderr)
            return 1
        pages[notebook] = nbformat.writes(page) + "\n"
    for notebook, text in pages.items():
        write_text(notebook, text)
        print(f"{notebook.relative_to(ROOT)}: {len(text) / 1000:.0f} kB")
    keep_numbers(ROOT / RUNS, ROOT / "docs")
    return 0


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """Return the page without what differs from one execution to the next: times, notes of tools, how prints are cut.

    Pictures that move are left out, too: web pages of notebooks, and JupyterLab before it trusts them, run no scripts.
    Its metadata are those that JupyterLab writes when it opens the page, which so stays as it is.
    """
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(nbformat.from_dict(notebook), {})
    language = notebook.metadata.language_info
    notebook.metadata = nbformat.from_dict({"kernelspec": kernelspec(), "language_info": language})
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if CLASS in output.get("data", {}).get("text/html", ""):
                output.data["text/html"] = f"<p>{STILL}</p>"
        cell.metadata = nbformat.from_dict({"tags": tags} if (tags := cell.metadata.get("tags")) else {})
    return notebook


def kernelspec() -> dict[str, str]:
    """Return what JupyterLab notes of the kernel that the notebooks use."""
    spec = get_kernel_spec(KERNEL)
    return {"display_name": spec.display_name, "language": spec.language, "name": KERNEL}


def page_faults(page: NotebookNode, paths: Iterable[str]) -> list[str]:
    """Name what keeps an executed notebook off the page: its size, an error, or a path, or one below it, that shows."""
    size = len(nbformat.writes(page).encode())
    faults = [f"{size} bytes: more than {LARGEST}; draw smaller or fewer figures"] if size > LARGEST else []
    for cell in page.cells:
        for output in cell.get("outputs", []):
            text = output_text(output)
            shown = [path for path in paths if re.search(rf"(?<![\w.]){re.escape(path)}(?![\w-])", text)]
            faults += [f"cell {cell.id} shows the path {path}" for path in shown]
            if output.output_type == "error":
                faults.append(f"cell {cell.id} ends in {output.ename}")
    return faults


def output_text(output: NotebookNode) -> str:
    """Return all of an output that can be read: prints, tables, tracebacks; not the bytes of pictures."""
    readable = [str(value) for kind, value in output.get("data", {}).items() if not kind.startswith("image/")]
    return "\n".join([output.get("text", ""), *output.get("traceback", []), *readable])


def machine_paths() -> list[str]:
    """Return the folders whose names say something about this machine only."""
    folders = {ROOT, ROOT.parent, Path.home(), Path(tempfile.gettempdir()), Path(sys.prefix)}
    return sorted(str(folder) for folder in folders if len(folder.parts) > 1)


if __name__ == "__main__":
    sys.exit(main())
