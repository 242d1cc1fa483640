"""Execute notebooks, with everything they print seen while it happens; as a command, all of them at demo size.

`make quickstart` calls `python -m maskrf_core.workbook.execution`. Trainings that an earlier call finished are not
repeated, and interrupted ones go on where they were.
"""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from io import TextIOBase
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from maskrf_core.support.paths import ROOT, display_path
from maskrf_core.workbook.experiments.tables import formatted, from_plain
from maskrf_core.workbook.parameters import EvaluateParameters, NotebookParameters
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


def main() -> int:
    """Execute 01 to 06 and say what came out; 1 where a notebook failed."""
    start, parameters = time.perf_counter(), NotebookParameters()
    todo = {notebook: parameters.runs / "quickstart" / notebook.name for notebook in notebooks()}
    for number, (notebook, executed) in enumerate(todo.items(), start=1):
        began = time.perf_counter()
        print(f"[{clock(start)}] notebook {number} of {len(todo)}: {notebook.stem}", flush=True)
        if error := execute(notebook, executed):
            print(f"\n{notebook.stem} failed: {error}\nSee {display_path(executed)}", file=sys.stderr)
            return 1
        print(f"[{clock(start)}] {notebook.stem}: done in {time.perf_counter() - began:.0f} s\n", flush=True)
    print(report(todo.values(), parameters))
    print(f"\nAll of it took {clock(start)} (minutes:seconds).")
    return 0


def report(executed: Iterable[Path], parameters: NotebookParameters) -> str:
    """Return the table of methods, and where executed notebooks and their figures are, as text."""
    path = EvaluateParameters(**parameters.model_dump()).run_folder("05_evaluate") / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    table = formatted(from_plain(results["methods"])[["psnr", "ssim"]]).rename_axis(None).to_string()
    folder = parameters.runs / parameters.preset
    figures = sorted([*folder.glob("0*/*.png"), *folder.glob("*/figures/*.png")])
    lines = [f"Mean over {results['views']} views of test scenes:", "", table]
    for heading, files in (("Executed notebooks:", executed), ("Pictures:", figures)):
        lines += ["", heading, *(f"  {display_path(file)}" for file in files)]
    return "\n".join(lines)


def clock(start: float) -> str:
    """Return minutes and seconds since `start`."""
    minutes, seconds = divmod(int(time.perf_counter() - start), 60)
    return f"{minutes:02d}:{seconds:02d}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from the last checkpoints.", file=sys.stderr)
        sys.exit(130)
