"""`make quickstart`: the notebooks in five minutes, sharpest pictures first, then one page of what came out.

`python -m maskrf_core.workbook.quickstart`. Trainings that an earlier call finished are not repeated, and interrupted
ones go on where they were.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from maskrf_core.support.paths import display_path
from maskrf_core.workbook.execution import NOTEBOOKS, execute
from maskrf_core.workbook.experiments.recorded_results import methods_of
from maskrf_core.workbook.experiments.tables import formatted
from maskrf_core.workbook.parameters import RUNS_VARIABLE, NotebookParameters
from maskrf_core.workbook.reports.summary import Section, write_summary

RUNS = "runs/quickstart"
ONE_SCENE = {"validation_scenes": "demo/validation_00"}
FEW_VIEWS = "training.validation_views=1"
SHORT = {
    "pretrained": "maskrf-pretrained",
    "steps": 12,
    "overrides": f"training.learning_rate=0.0002, {FEW_VIEWS}",
} | ONE_SCENE


class Step(NamedTuple):
    """A notebook, its parameters, what is to be seen of it, and about how long it takes on two cores [s]."""

    notebook: str
    shows: str
    seconds: int
    parameters: dict[str, Any]


STEPS = (
    Step("05_evaluate", "a scene that no network was trained on, by the weights that ship, and a flight through it", 45,
         {"scene": "demo/test_00"}),
    Step("05_evaluate", "a view of photographs that are new to them, with depth estimated from the photographs", 65,
         {"scene": "photographs/tankard", "path": "none"}),
    Step("01_data_prep", "whether photographs, cameras, masks and depth of a scene fit together", 20, {}),
    Step("03_pretrain", "what is masked and predicted: pretraining goes on for a few steps", 40, SHORT),
    Step("04_finetune", "a few steps without masks, from pretrained and from random weights", 40, SHORT),
    Step("02_mask_ratio_ablation", "a grid of trainings, far too short to say anything", 40,
         {"mask_ratios": "0, 0.5", "pretrain_steps": 5, "finetune_steps": 5, "overrides": FEW_VIEWS} | ONE_SCENE),
)  # fmt: skip


def main() -> int:
    """Execute the steps, say what comes next and when, and write the page; 1 where a notebook failed."""
    os.environ.setdefault(RUNS_VARIABLE, RUNS)
    start, runs = time.perf_counter(), NotebookParameters().runs
    print(
        f"{len(STEPS)} notebooks, about {sum(step.seconds for step in STEPS) / 60:.0f} minutes on two cores", flush=True
    )
    sections = []
    for number, step in enumerate(STEPS, start=1):
        print(f"[{clock(start)}] {number} of {len(STEPS)}, {step.notebook}: {step.shows}", flush=True)
        print(f"        about {step.seconds} s on two cores", flush=True)
        executed = runs / f"{number}_{step.notebook}.ipynb"
        if error := execute(NOTEBOOKS / f"{step.notebook}.ipynb", executed, parameters=step.parameters):
            print(f"\n{step.notebook} failed: {error}\nSee {display_path(executed)}", file=sys.stderr)
            return 1
        sections.append(section_of(step, runs))
        for figure in sections[-1].figures:
            print(f"        picture: {display_path(figure)}", flush=True)
    page = write_summary(runs / "quickstart.html", sections)
    for section in sections:
        if section.numbers is not None:
            print(f"\n{section.title}:\n{formatted(section.numbers).rename_axis(None).to_string()}")
    print(f"\nAll of it took {clock(start)} (minutes:seconds). Open this page: {page.resolve().as_uri()}")
    return 0


def section_of(step: Step, runs: Path) -> Section:
    """Find what a notebook left last: the folder of its page, the figures there, and the table of methods of 05."""
    page = max(runs.rglob(f"{step.notebook}.html"), key=lambda path: path.stat().st_mtime)
    figures = sorted(
        [*page.parent.glob("*.png"), *page.parent.glob("figures/*.png")], key=lambda path: path.name != "renders.png"
    )
    numbers = methods_of(page.parent) if step.notebook == "05_evaluate" else None
    return Section(f"{step.notebook}: {step.shows}", figures, page, numbers)


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
