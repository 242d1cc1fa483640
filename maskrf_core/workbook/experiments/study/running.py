"""How the study runs: points side by side, each part trained and then scored in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from maskrf_core.runs import Run
from maskrf_core.support.errors import RunError
from maskrf_core.training.process.protocol import last_lines, training_environment
from maskrf_core.training.process.training_process import TrainingProcess
from maskrf_core.training.saved_states import is_done
from maskrf_core.workbook.experiments.study.plan import Part, Point
from maskrf_core.workbook.experiments.study.rows import left, read_rows
from maskrf_core.workbook.experiments.study.scoring import main as scoring
from maskrf_core.workbook.experiments.sweeps import Chain, Sweep
from maskrf_core.workbook.experiments.trainings import checked_start


def run_study(points: Sequence[Point], table: Path, processes: int) -> None:
    """Train and score all parts that have no row, so many points at a time; what is begun goes on.

    A file `stop` beside the points' folders has all of them save and end; so has interrupting.

    Raises:
        RunError: points failed or were stopped; they are listed with their reasons once all others are finished.
        TrainingStopped: it was asked to stop, and all has been saved.
    """
    unfinished = left(points, read_rows(table))
    waiting = [point for point in points if point.name in unfinished]
    if waiting:
        Sweep(waiting, len(points), processes, partial(StudyChain, table=table)).run()


@dataclass
class ScoringProcess:
    """The process that scores a run, with what a chain asks of a training's. Ended early, it adds nothing."""

    run: Run
    child: subprocess.Popen

    @classmethod
    def of(cls, point: Point, part: Part, table: Path, environment: Mapping[str, str]) -> "ScoringProcess":
        """Start to score a part."""
        command = [sys.executable, "-u", "-m", scoring.__module__]
        folders = [point.pretraining[0].folder, part.run.folder, table]
        whole = point.arm.group == "main" and part is _whole(point)
        options = ["--about", json.dumps(dict(part.about)), *(["--zero-shot"] if whole else [])]
        with part.run.log_path.open("ab") as log:
            child = subprocess.Popen(
                [*command, *map(str, folders), *options], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, env=training_environment() | dict(environment), start_new_session=True,
            )  # fmt: skip
        return cls(part.run, child)

    def runs(self) -> bool:
        """Tell whether it still scores."""
        return self.child.poll() is None

    def ask_to_stop(self) -> None:
        """End it: scoring begins anew next time."""
        self.child.terminate()

    def check_end(self) -> None:
        """Raise `RunError` if it failed."""
        if self.child.returncode:
            said = last_lines(self.run.log_path)
            raise RunError(f"{self.run.folder}: could not be scored (exit code {self.child.returncode}). {said}")


@dataclass
class StudyChain(Chain):
    """The trainings and scorings of a point, one after the other."""

    point: Point
    environment: Mapping[str, str]
    process: TrainingProcess | ScoringProcess | None = None
    table: Path = Path()

    def goes_on(self) -> bool:
        """Start what is next, as soon as what is before it has ended; return false once every part has its row."""
        if self.process is not None:
            if self.process.runs():
                return True
            self.process.check_end()
        part = next(iter(self._left()), None)
        if part is None:
            return False
        to_train = next((run for run in self._begun(part) if not is_done(run)), None)
        if to_train is not None:
            self.process = TrainingProcess.of(to_train, self.environment)
        else:
            self.process = ScoringProcess.of(self.point, part, self.table, self.environment)
        return True

    def result(self) -> str:
        """Say how many rows it has."""
        return f"{len(self.point.parts)} rows"

    def _left(self) -> list[Part]:
        return left([self.point], read_rows(self.table)).get(self.point.name, [])

    def _begun(self, part: Part) -> list[Run]:
        """Return the runs that a part needs, made if they are missing, and asked for its steps."""
        run, config = self.point.pretraining
        pretrained = checked_start(run.folder, config)
        return [pretrained, *([checked_start(part.run.folder, part.config)] if is_done(pretrained) else [])]


def _whole(point: Point) -> Part:
    """Return the part that is trained on all scenes for the planned steps of finetuning, as all arms have it."""
    all_scenes = max(part.about["train scenes"] for part in point.parts)
    asked = [part for part in point.parts if part.about["train scenes"] == all_scenes]
    return asked[len(point.arm.shares) - 1]
