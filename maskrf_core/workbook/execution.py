"""Executing the notebooks, with everything they print seen while it happens."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.reports.keeping import KEPT_VARIABLE, complete
from maskrf_core.workbook.reports.origin import NOTEBOOK_VARIABLE

NOTEBOOKS = ROOT / "notebooks"
QUIET_KERNEL = ["--IPKernelApp.log_level=50"]
"""Without it every kernel warns on the terminal that its port on this machine is not encrypted."""


@dataclass(frozen=True)
class Execution:
    """A notebook that was executed, how long it took, and what stopped it."""

    name: str
    output: Path
    seconds: float
    error: str | None

    @property
    def notebook(self) -> NotebookNode:
        """The executed notebook."""
        return nbformat.read(self.output, as_version=4)


class Indented:
    """Passes text on, every line a little to the right."""

    def __init__(self, stream: TextIOBase, indent: str = "    "):
        self._stream, self._indent, self._at_start = stream, indent, True

    def write(self, text: str) -> int:
        """As of any text stream."""
        for line in text.splitlines(keepends=True):
            self._stream.write(self._indent * self._at_start + line)
            self._at_start = line.endswith(("\n", "\r"))
        return len(text)

    def flush(self) -> None:
        """As of any text stream."""
        self._stream.flush()


def notebooks() -> list[Path]:
    """All notebooks, in their order."""
    return sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))


def execute(
    notebook: Path,
    output: Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    stream: TextIOBase | None = None,
) -> Execution:
    """Execute a notebook with the parameters it has, or others; what it prints goes to `stream` (the terminal) at once.

    The executed notebook is written to `output` also where a cell fails. Its report is where its last cell kept it, or
    beside `output` if it did not get that far.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    live = Indented(stream or sys.stdout)
    start, error = time.perf_counter(), None
    with _told_its_file(output) as note:
        try:
            papermill.execute_notebook(
                str(notebook),
                str(output),
                parameters=dict(parameters or {}),
                kernel_name="python3",
                cwd=str(NOTEBOOKS),
                progress_bar=False,
                stdout_file=live,
                stderr_file=live,
                extra_arguments=QUIET_KERNEL,
            )
        except PapermillExecutionError as failure:
            error = f"{failure.ename}: {failure.evalue}"
        seconds = time.perf_counter() - start
        complete(output, note, failed=error is not None)
    return Execution(notebook.stem, output, seconds, error)


@contextmanager
def _told_its_file(output: Path) -> Iterator[Path]:
    """Kernels that are started now know which file their notebook is; they note in another where they kept it."""
    before = {name: os.environ.get(name) for name in (NOTEBOOK_VARIABLE, KEPT_VARIABLE)}
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "kept.json"
        os.environ.update({NOTEBOOK_VARIABLE: f"{os.getpid()}:{output.resolve()}", KEPT_VARIABLE: str(note)})
        try:
            yield note
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
