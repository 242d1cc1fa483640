"""Run the whole workbook at demo size: `python -m maskrf_core.workbook.quickstart`, which `make quickstart` calls.

Trainings that an earlier call finished are not repeated, and interrupted ones go on where they were.
"""

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from maskrf_core.support.paths import display_path
from maskrf_core.workbook.execution import Execution, execute, notebooks
from maskrf_core.workbook.experiments.tables import formatted, from_plain
from maskrf_core.workbook.parameters import EvaluateParameters, NotebookParameters


def main() -> int:
    """Execute 01 to 06 and say what came out; 1 where a notebook failed."""
    start, parameters = time.perf_counter(), NotebookParameters()
    executed = []
    for number, notebook in enumerate(todo := notebooks(), start=1):
        print(f"[{clock(start)}] notebook {number} of {len(todo)}: {notebook.stem}", flush=True)
        execution = execute(notebook, parameters.runs / "quickstart" / notebook.name)
        executed.append(execution)
        if execution.error:
            print(f"\n{notebook.stem} failed: {execution.error}\nSee {display_path(execution.output)}", file=sys.stderr)
            return 1
        print(f"[{clock(start)}] {notebook.stem}: done in {execution.seconds:.0f} s\n", flush=True)
    print(report(executed, parameters))
    print(f"\nAll of it took {clock(start)} (minutes:seconds).")
    return 0


def report(executed: Iterable[Execution], parameters: NotebookParameters) -> str:
    """Return the table of methods, and where notebooks and pictures are, as text."""
    path = EvaluateParameters(**parameters.model_dump()).run_folder("05_evaluate") / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    table = formatted(from_plain(results["methods"])[["psnr", "ssim"]]).rename_axis(None).to_string()
    lines = [f"Mean over {results['views']} views of test scenes:", "", table, ""]
    lines += ["Executed notebooks:", *(f"  {display_path(execution.output)}" for execution in executed)]
    pictures = figures_below(parameters.runs / parameters.preset)
    return "\n".join([*lines, "", "Pictures:", *(f"  {display_path(picture)}" for picture in pictures)])


def figures_below(folder: Path) -> list[Path]:
    """Return the figures of the notebooks, not each single render."""
    return sorted([*folder.glob("0*/*.png"), *folder.glob("*/figures/*.png")])


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
