"""`python -m maskrf_core.workbook.experiments.study` plans, runs and continues the study of docs/study.md.

Killing it loses nothing: what is scored stands in the table, and trainings go on from their last checkpoint.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from maskrf_core.datasets.procedural.__main__ import main as make_scenes
from maskrf_core.settings.config import parse_overrides
from maskrf_core.support.errors import DatasetError, MaskrfError
from maskrf_core.support.paths import ROOT, RUNS, resolve
from maskrf_core.training.process.protocol import TrainingStopped
from maskrf_core.workbook.experiments.study.plan import Point, plan, planned_steps
from maskrf_core.workbook.experiments.study.rows import left, read_rows, state
from maskrf_core.workbook.experiments.study.running import run_study
from maskrf_core.workbook.experiments.sweeps import THREADS

TABLE = ROOT / "docs" / "study" / "rows.csv"
SECONDS_PER_STEP, SECONDS_PER_ROW = 0.147, 16.0  # of one core, as measured; rows that are there say more


def estimated_hours(points: Sequence[Point], table: pd.DataFrame) -> float:
    """Return the hours of one core that all points take, by the seconds of the rows that are there."""
    per_step = SECONDS_PER_STEP
    if len(known := table.get("pretrain seconds", pd.Series(dtype=float)).dropna()):
        per_step = float((known / table.loc[known.index, "pretrain steps"]).median())
    rows = sum(len(point.parts) for point in points)
    return (planned_steps(points) * per_step + rows * SECONDS_PER_ROW) / 3600


def make_missing_scenes(points: Sequence[Point], data_root: Path) -> None:
    """Make the procedural scenes of the study that are not there; `DatasetError` where that fails."""
    configs = [config for point in points for config in (point.pretraining[1], point.parts[0].config)]
    named = set()
    for config in configs:
        named.update(config.data.train_scenes, config.data.validation_scenes, config.evaluation.test_scenes)
    made = sorted(name.rpartition("/")[2] for name in named if name.startswith("procedural"))
    missing = [name for name in made if not (data_root / "procedural" / name).is_dir()]
    if missing and make_scenes([*missing, "--data-root", str(data_root)]):
        raise DatasetError(
            f"{data_root}: {len(missing)} procedural scenes are missing and could not be made; see above."
        )


def part_of(text: str) -> tuple[int, int]:
    """Read K/N with 0 ≤ K < N."""
    try:
        first, jobs = map(int, text.split("/"))
    except ValueError:
        first = jobs = -1
    if not 0 <= first < jobs:
        raise argparse.ArgumentTypeError(f"{text!r}: is no part such as 0/8, which is the first of 8, or 7/8, the last")
    return first, jobs


def main(arguments: list[str] | None = None) -> int:
    """Run what is left of the study, or print its plan and state."""
    parser = argparse.ArgumentParser(
        prog="python -m maskrf_core.workbook.experiments.study", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--plan", action="store_true", help="print what there is to do and is done, and run nothing")
    parser.add_argument("--only", choices=("main", "factors"), help="of the two groups of arms; default: both")
    parser.add_argument("--part", type=part_of, default=(0, 1), metavar="K/N",
                        help="points K, K + N, K + 2N … alone, such as 0/8: for jobs beside each other")  # fmt: skip
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="points at a time; default: cores")
    parser.add_argument("--data-root", default="data", help="with the made scenes in its folder `procedural` (data)")
    parser.add_argument("--folder", type=Path, default=RUNS / "study", help="of the run folders (runs/study)")
    parser.add_argument("--table", type=Path, default=TABLE, help="of the rows (docs/study/rows.csv)")
    parser.add_argument("--overrides", default="", help="of settings: section.name=value, …")
    asked = parser.parse_args(arguments)
    os.environ.setdefault(THREADS, "1")  # the same numbers for any number of processes
    data_root = resolve(asked.data_root).resolve()
    try:
        given = {"data.data_root": str(data_root)} | parse_overrides(asked.overrides)
        first, jobs = asked.part
        points = plan(asked.folder.resolve(), asked.only, given)[first::jobs]
        if not asked.plan:
            make_missing_scenes(points, data_root)
            run_study(points, asked.table.resolve(), asked.processes)
        table = read_rows(asked.table)
        print(state(points, table).to_string(index=False))
        unfinished = left(points, table)
        for said, some in (
            ("in all", points),
            ("not finished", [point for point in points if point.name in unfinished]),
        ):
            hours, steps = estimated_hours(some, table), planned_steps(some)
            here = f"{hours / asked.processes:.1f} hours here"
            print(f"{said}: {len(some)} points, {steps:,} steps, {hours:.1f} hours of one core, {here}")
    except TrainingStopped as stopped:
        print(stopped)
        return stopped.code
    except MaskrfError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
