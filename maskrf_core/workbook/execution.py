"""Execute notebooks, with everything they print seen while it happens."""

import sys
from collections.abc import Mapping
from io import TextIOBase
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.reports import keep

NOTEBOOKS = ROOT / "notebooks"
KERNEL = "python3"
# Without it every kernel warns on the terminal that its port on this machine is not encrypted.
QUIET_KERNEL = ["--IPKernelApp.log_level=50"]


class Indented:
    """A text stream that passes text on, every line a little to the right."""

    def __init__(self, stream: TextIOBase, indent: str = "    "):
        self._stream, self._indent, self._at_start = stream, indent, True
        self.flush = stream.flush

    def write(self, text: str) -> int:
        """Write as to any text stream."""
        for line in text.splitlines(keepends=True):
            self._stream.write(self._indent * self._at_start + line)
            self._at_start = line.endswith(("\n", "\r"))
        return len(text)


def notebooks() -> list[Path]:
    """Return all notebooks, in their order."""
    return sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))


def execute(
    notebook: Path, output: Path, *, parameters: Mapping[str, Any] | None = None, stream: TextIOBase | None = None
) -> str | None:
    """Execute a notebook with the parameters it has, or others; what it prints goes to `stream` (the terminal) at once.

    The executed notebook is written to `output`, also if a cell fails. Its last cell keeps a report in the run folder;
    if it does not get that far, its page is written beside `output`, and the error is returned.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    live = Indented(stream or sys.stdout)
    try:
        papermill.execute_notebook(
            str(notebook),
            str(output),
            parameters=dict(parameters or {}),
            kernel_name=KERNEL,
            cwd=str(NOTEBOOKS),
            progress_bar=False,
            stdout_file=live,
            stderr_file=live,
            extra_arguments=QUIET_KERNEL,
        )
    except PapermillExecutionError as failure:
        keep(nbformat.read(output, 4), output.parent, name=output.stem)
        return f"{failure.ename}: {failure.evalue}"
    return None
