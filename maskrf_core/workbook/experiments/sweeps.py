"""Training what is left of a grid: here, a bounded number at a time, or as jobs of Slurm."""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from maskrf_core.runs.log import latest
from maskrf_core.runs.status import is_owned
from maskrf_core.support.errors import MaskrfError, RunError, in_short
from maskrf_core.support.paths import display_path
from maskrf_core.support.progress import Progress
from maskrf_core.training.process.protocol import ExitCode, TrainingStopped, asked_to_stop, heed_stop
from maskrf_core.training.process.training_process import TrainingProcess
from maskrf_core.training.saved_states import is_done
from maskrf_core.workbook.experiments.following import SECONDS_BETWEEN_LOOKS, save_and_stop
from maskrf_core.workbook.experiments.grid import GridPoint, begin
from maskrf_core.workbook.parameters import AblationParameters

THREADS = "OMP_NUM_THREADS"
BAR = "{desc}: {n_fmt} of {total_fmt} points {bar} {elapsed}{postfix}"


def train_grid(points: Sequence[GridPoint], parameters: AblationParameters) -> None:
    """Train what is left of a grid; a point that fails does not stop the others.

    A file `stop` in the folder of the grid's points has all of them save and end, and so has interrupting.

    Raises:
        RunError: points failed or were stopped one by one; they are listed with their reasons once all others are
            finished.
        TrainingStopped: it was asked to stop, and all has been saved.
    """
    begin(points)
    left = [point for point in points if not point.is_finished()]
    if len(left) < len(points):
        print(f"{len(points) - len(left)} of {len(points)} points were finished before", flush=True)
    if left and parameters.launcher == "slurm":
        _train_on_slurm(left, parameters)
    elif left:
        Sweep(left, len(points), parameters.processes).run()


def shared_threads(processes: int) -> dict[str, str]:
    """Return the environment in which each of several trainings takes its share of this computer's processors.

    How many threads there are changes rounding. So one training alone is left as it is, and so are several where
    OMP_NUM_THREADS is set already.
    """
    if processes == 1 or THREADS in os.environ:
        return {}
    return {THREADS: str(max(1, (os.cpu_count() or 1) // processes))}


@runtime_checkable
class SweepPoint(Protocol):
    """What a sweep asks of a point: what it is called, and its folder, beside which the file `stop` is looked for."""

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> Path: ...


@dataclass
class Chain:
    """A point's trainings, one after the other, each in a process of its own."""

    point: GridPoint
    environment: Mapping[str, str]
    process: TrainingProcess | None = None

    def goes_on(self) -> bool:
        """Start what is next, as soon as what is before it has ended; return false once all is done.

        Raises:
            RunError, TrainingStopped: one of the trainings failed or was stopped.
        """
        if self.process is not None:
            if self.process.runs():
                return True
            self.process.check_end()
        run = next((run for run in self.point.runs if not is_done(run)), None)
        if run is not None:
            self.process = TrainingProcess.of(run, self.environment)
        return run is not None

    def stands(self) -> str:
        """Say what runs in it now, and how far that is."""
        status = getattr(self.process, "status", None)  # what only scores has none
        step = "" if status is None or status.state == "starting" else f" {status.step}/{status.steps}"
        return f"{self.point.name}: {self.process.run.folder.name}{step}"

    def result(self) -> str:
        """Say how good it became, once all is done."""
        psnr = latest(self.point.finetuned.metrics(), "validation", "fine_psnr")
        pretrain, finetune = self.point.steps
        return f"{psnr:.2f} dB after {pretrain} + {finetune} steps"

    def still_saves(self) -> bool:
        """Say whether what was asked to stop has not ended yet."""
        if self.process is None:
            return False
        if self.process.runs():
            return True
        self.process.run.stop_path.unlink(missing_ok=True)  # it may have ended by itself before it saw that
        return False


@dataclass
class Sweep:
    """The trainings of a grid on this computer, at most `processes` of them at a time."""

    left: Sequence[SweepPoint]
    points: int  # of the whole grid, those included that were finished before
    processes: int
    chain: Callable[[SweepPoint, Mapping[str, str]], Chain] = Chain
    running: list[Chain] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Train as `train_grid` says."""
        stop_file = self.left[0].folder.parent / "stop"
        folder = display_path(stop_file.parent)
        heed_stop(stop_file)
        self._progress = Progress(self.points, self.points - len(self.left), stop_file.parent.name, bar_format=BAR)
        waiting, environment, asked = deque(self.left), shared_threads(self.processes), None
        try:
            while waiting or self.running:
                if asked is None and (asked := asked_to_stop(stop_file)):
                    waiting.clear()
                    self.ask_to_stop()
                while waiting and len(self.running) < self.processes:
                    self._progress.line(f"{waiting[0].name}: begins")
                    self.running.append(self.chain(waiting.popleft(), environment))
                self.running = [chain for chain in self.running if self._goes_on(chain, asked)]
                self._progress.say("; ".join(chain.stands() for chain in self.running if chain.process is not None))
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except KeyboardInterrupt:
            save_and_stop(folder, self.ask_to_stop, lambda: any(chain.still_saves() for chain in self.running))
            raise
        finally:
            self._progress.close()
        if asked is not None:
            stop_file.unlink(missing_ok=True)
            raise TrainingStopped(f"{folder}: stopped by {asked.said}; all has been saved.", asked)
        if self.failures:
            listed = "\n".join(f"  {name}: {reason}" for name, reason in self.failures.items())
            raise RunError(f"{len(self.failures)} of {self.points} points are not done; the others are.\n{listed}")

    def _goes_on(self, chain: Chain, asked: ExitCode | None) -> bool:
        """Say whether a chain does; where it has ended, print how."""
        if asked is not None:  # what comes next in it is not begun
            return chain.still_saves()
        try:
            if chain.goes_on():
                return True
        except MaskrfError as error:
            self.failures[chain.point.name] = str(error)
            self._progress.line(f"{chain.point.name}: {str(error).splitlines()[0]}")
            return False
        self._progress.line(f"{chain.point.name}: {chain.result()}")
        self._progress.advance()
        return False

    def ask_to_stop(self) -> None:
        """Have all that runs save and end."""
        for chain in self.running:
            if chain.process is not None and chain.process.runs():
                chain.process.ask_to_stop()


def _train_on_slurm(points: Sequence[GridPoint], parameters: AblationParameters) -> None:
    """Submit one job a point, in one array; return when all have ended."""
    from maskrf_core import slurm  # its library is needed for nothing else

    points = [point for point in points if not any(is_owned(run.folder) for run in point.runs)]
    if not points:
        print("all that is left is being trained already; run this again when it has ended", flush=True)
        return
    chains = [[run.folder for run in point.runs] for point in points]
    jobs = slurm.submit_trainings(chains, slurm.parse_slurm(parameters.slurm), points[0].folder.parent / "slurm")
    print(f"{len(jobs)} jobs of Slurm: {in_short([job.job_id for job in jobs])}", flush=True)
    slurm.wait(jobs)
