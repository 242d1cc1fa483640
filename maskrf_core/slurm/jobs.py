"""Jobs as they run on a node: each starts its work in a child process, has it save in time, and queues again."""

import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from maskrf_core.runs import Run, TrainingStatus
from maskrf_core.runs.status import is_owned
from maskrf_core.slurm.node import Child, Place
from maskrf_core.support.errors import SlurmError
from maskrf_core.training.process.protocol import (
    STOP_VARIABLE,
    ExitCode,
    several_processes,
    training_command,
    training_environment,
)

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

TO_BE_ENDED = 300.0  # seconds in which Slurm is expected to end a job whose work it has told to stop
SECONDS_BETWEEN_LOOKS = 1.0
STATUS_PATIENCE = 10  # seconds until all nodes see what the first one wrote


@dataclass
class Job(ABC):
    """Work in a child process. submitit calls it, and `checkpoint` when Slurm wants the node back.

    Stopping is asked for by a file, which all nodes of a job see: it has to lie on a file system that they share.
    """

    patience: int  # seconds that the work has to save and end; then it is killed, and goes on from what it saved last
    _child: Child | None = field(default=None, init=False, repr=False, compare=False)
    _stop_file: Path | None = field(default=None, init=False, repr=False, compare=False)

    @abstractmethod
    def work(self, place: Place) -> Any:
        """Do the work by `run`, and return the job's result."""

    def __call__(self) -> Any:
        """Run the work to its end on this node.

        Raises:
            SlurmError: it failed, or somebody else stopped it.
        """
        place = Place.here()
        self._stop_file = place.folder / f"{place.job_id}.stop"
        if place.rank == 0:
            self._stop_file.unlink(missing_ok=True)  # left by a job that was killed while it stopped
        return self.work(place)

    def checkpoint(self) -> "DelayedSubmission":
        """Have the work save and end, and the job queued again. submitit calls this in the first task only."""
        from submitit.helpers import DelayedSubmission

        if self._child is not None:
            self._stop_file.touch()
            if self._child.wait(self.patience) is None:
                print(f"not ended after {self.patience:g} s: it goes on from its last checkpoint", flush=True)
                self._child.kill()
            self._stop_file.unlink(missing_ok=True)
        return DelayedSubmission(replace(self))

    def run(self, command: list[str], log: Path, place: Place, *, ignored: tuple[int, ...] = ()) -> Child:
        """Run a command to its end, with its output appended to `log`, and return the child that did."""
        print(f"{place.host}: {log} has what is printed", flush=True)
        environment = training_environment() | {STOP_VARIABLE: str(self._stop_file)}
        child = self._child = Child.start(command, environment, log, (signal.SIGUSR2, *ignored))
        child.wait()
        self._child = None
        return child


@dataclass
class TrainingJob(Job):
    """A job that trains the runs of a chain, one after the other, on all its nodes."""

    folders: tuple[Path, ...]

    def work(self, place: Place) -> list[str]:
        """Train the runs, and return their folders.

        Raises:
            SlurmError: a training failed, or was stopped by others than Slurm; the rest of the chain is not begun.
        """
        for folder in self.folders:
            run = Run.open(folder)
            child, code = self._train(run, place)
            while code == ExitCode.TRAINED_ELSEWHERE:  # another job's, or this one's on a node that was lost
                while is_owned(run.folder):
                    time.sleep(SECONDS_BETWEEN_LOOKS)
                child, code = self._train(run, place)
            if code:
                raise self._fault(run, code, child, place)
        return [str(folder) for folder in self.folders]

    def _train(self, run: Run, place: Place) -> tuple[Child, int]:
        """Train a run, and return the process that did, and its exit code."""
        before = run.status
        log = run.log_path if place.rank == 0 else run.folder / f"training.node{place.rank}.log"
        child = self.run(training_of(run, place), log, place)
        code = child.process.returncode
        return child, written_code(run, before) if code and run.config.hardware.num_nodes > 1 else code

    def _fault(self, run: Run, code: int, child: Child, place: Place) -> SlurmError:
        # A preemption begins with SIGTERM to all processes of a job, and may find one that does not hear it yet.
        stopped = code in (ExitCode.SIGTERM, ExitCode.SIGUSR1, -signal.SIGTERM)
        # In the first task only people stop a training by a file: the job's own is put there by `checkpoint`, which
        # never returns here.
        if stopped or (code == ExitCode.STOP_FILE and place.rank > 0):
            place.wait_for_the_end(TO_BE_ENDED)
            return SlurmError(f"{run.folder}: was stopped, but its job was not queued again. Submit it again.")
        if code == ExitCode.STOP_FILE:
            return SlurmError(f"{run.folder}: was stopped by its file `stop`. Submit it again to go on.")
        return SlurmError(
            f"{run.folder}: training failed (exit code {code}); {child.log} ends with\n{child.last_lines()}"
        )


def training_of(run: Run, place: Place) -> list[str]:
    """Return the command that trains a run on this node: by torchrun where the run asks for several nodes."""
    hardware = run.config.hardware
    if hardware.num_nodes == 1:
        return training_command([run.folder])
    command = several_processes(hardware.devices, options=place.torchrun_options(hardware.num_nodes))
    return [*command, str(run.folder)]


def written_code(run: Run, before: TrainingStatus | None) -> int:
    """Return the exit code that a training wrote before it ended: torchrun does not pass it on."""
    until = time.monotonic() + STATUS_PATIENCE
    while (status := run.status) is None or status == before or status.exit_code is None:
        if time.monotonic() > until:
            return ExitCode.FAILED
        time.sleep(0.2)
    return status.exit_code


@dataclass
class NotebookJob(Job):
    """A job that executes a notebook. Queued again, it starts anew: its trainings go on where they were."""

    notebook: Path
    output: Path
    parameters: Mapping[str, Any]  # as text what `papermill -p` would be given; all else as it is

    def work(self, place: Place) -> str:
        """Execute the notebook by papermill, and return the path of the executed one.

        Raises:
            SlurmError: a cell failed.
        """
        log = place.folder / f"{place.job_id}_notebook.log"
        # SIGTERM comes before the job's own signal where a job is preempted; trainings hear it, the notebook must not
        # die of it.
        child = self.run(papermill_command(self), log, place, ignored=(signal.SIGTERM,))
        if not child.process.returncode:
            return str(self.output)
        if name_of_error(self.output) == "TrainingStopped":
            place.wait_for_the_end(TO_BE_ENDED)
            raise SlurmError(f"{self.notebook.name}: its training was stopped. Submit it again to go on.")
        raise SlurmError(f"{self.notebook.name}: failed; see {self.output}. {log} ends with\n{child.last_lines()}")


def papermill_command(job: NotebookJob) -> list[str]:
    """Return the command that executes the notebook in its folder by this environment's kernel."""
    command = [sys.executable, "-m", "papermill", str(job.notebook), str(job.output), "--kernel", "python3"]
    command += ["--language", "python", "--cwd", str(job.notebook.parent), "--no-progress-bar"]
    command += ["--stdout-file", "-", "--stderr-file", "-"]
    for name, value in job.parameters.items():
        command += ["-p", name, value] if isinstance(value, str) else ["-y", yaml.safe_dump({name: value})]
    return command


def name_of_error(notebook: Path) -> str | None:
    """Return the class of the error in an executed notebook, if there is one."""
    import nbformat

    if not notebook.is_file():
        return None
    outputs = [output for cell in nbformat.read(notebook, as_version=4).cells for output in cell.get("outputs", [])]
    return next((output.ename for output in outputs if output.output_type == "error"), None)
