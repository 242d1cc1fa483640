"""Run the whole workbook at demo size: `python -m maskrf_core.workbook.quickstart`, which `make quickstart` calls.

Trainings that an earlier call finished are not repeated, and interrupted ones go on where they were.
"""

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from maskrf_core.support.paths import display_path
from maskrf_core.workbook.execution import execute, notebooks
from maskrf_core.workbook.experiments.tables import formatted, from_plain
from maskrf_core.workbook.parameters.notebook_parameters import NotebookParameters
from maskrf_core.workbook.parameters.parameters import EvaluateParameters


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
