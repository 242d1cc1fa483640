"""Jobs as they run on a node: each starts its work in a child process, has it save in time, and queues again."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from maskrf_core.runs import Run, TrainingStatus
from maskrf_core.runs.status import is_owned
from maskrf_core.support.atomic_files import file_time
from maskrf_core.support.errors import SlurmError
from maskrf_core.training.process.protocol import (
    SAVED_VARIABLE,
    STOP_VARIABLE,
    SUBMITTED_VARIABLE,
    ExitCode,
    last_lines,
    several_processes,
    stopped_since,
    training_command,
    training_environment,
)

if TYPE_CHECKING:
    import submitit
    from submitit.helpers import DelayedSubmission

LOWEST_PORT, PORTS = 20_000, 10_000  # of rendezvous: below those that systems hand out by themselves
TO_BE_ENDED = 300.0  # seconds in which Slurm is expected to end a job whose work it has told to stop
SECONDS_BETWEEN_LOOKS = 1.0
POLL = 0.1  # seconds between two looks at a child
STATUS_PATIENCE = 10  # seconds until all nodes see what the first one wrote


@dataclass
class Job(ABC):
    """Work in a child process. submitit calls it in a task a node, and `checkpoint` when Slurm wants the node back.

    Stopping is asked for by a file, which all nodes of a job see: it has to lie on a file system that they share.
    """

    patience: int  # seconds that the work has to save and end; then it is killed, and goes on from what it saved last
    submitted: float = field(default=math.inf, kw_only=True, compare=False)  # when it was queued last, by `file_time`
    saved: int | None = field(default=None, kw_only=True, compare=False)  # checkpoints when it was queued again last
    _child: subprocess.Popen | None = field(default=None, init=False, repr=False, compare=False)
    _stop_file: Path | None = field(default=None, init=False, repr=False, compare=False)

    @abstractmethod
    def work(self, here: "submitit.JobEnvironment") -> Any:
        """Do the work by `run`, and return the job's result; `SlurmError` where it failed, or people stopped it."""

    def __call__(self) -> Any:
        """Run the work to its end on this node."""
        from submitit import JobEnvironment

        here = JobEnvironment()
        self._stop_file = here.paths.folder / f"{here.job_id}.stop"
        if here.global_rank == 0:
            self._stop_file.unlink(missing_ok=True)  # left by a job that was killed while it stopped
        return self.work(here)

    def checkpoint(self) -> "DelayedSubmission":
        """Have the work save and end, and the job queued again. submitit calls this in the first task only.

        `SlurmError`, with which the job ends, where no training has saved a new step since it was queued again last.
        """
        from submitit import JobEnvironment
        from submitit.helpers import DelayedSubmission

        if self._child is not None:
            self._stop_file.touch()
            if not _has_ended(self._child, self.patience):
                print(f"not ended after {self.patience:g} s: it goes on from its last checkpoint", flush=True)
                with suppress(ProcessLookupError):
                    os.killpg(self._child.pid, signal.SIGKILL)
                _has_ended(self._child)
            self._stop_file.unlink(missing_ok=True)
        saved = len(set(_saved_file().read_text().splitlines())) if _saved_file().is_file() else 0
        if saved == self.saved:
            raise SlurmError(
                "No training step was saved since this job was queued again last: so it would go on for ever. Submit "
                "it again with a longer timeout_min, or where it is not preempted as often."
            )
        queued = file_time(JobEnvironment().paths.folder)
        return DelayedSubmission(replace(self, saved=saved, submitted=queued))

    def run(self, command: list[str], log: Path, *, ignored: tuple[int, ...] = ()) -> int:
        """Run a command to its end, with its output appended to `log`, and return its exit code.

        Slurm's signals reach every process of a job: SIGUSR2 and those of `ignored` are meant for the job alone.
        """

        def ignore() -> None:
            for number in (signal.SIGUSR2, *ignored):
                signal.signal(number, signal.SIG_IGN)

        told = {
            STOP_VARIABLE: str(self._stop_file),
            SUBMITTED_VARIABLE: repr(self.submitted),
            SAVED_VARIABLE: str(_saved_file()),
        }
        print(f"{os.uname().nodename}: {log} has what is printed", flush=True)
        with log.open("ab") as output:
            child = self._child = subprocess.Popen(
                command, env=training_environment() | told, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=ignore,
            )  # fmt: skip
        # Both the job and its signal handler, which interrupts it anywhere, look at `returncode`: without a lock, so
        # that neither can wait for the other.
        threading.Thread(target=child.wait, daemon=True).start()
        _has_ended(child)
        self._child = None
        return child.returncode


def _saved_file() -> Path:
    """Return the file in which the trainings of the job that this process runs tell what they have saved."""
    from submitit import JobEnvironment

    here = JobEnvironment()
    return here.paths.folder / f"{here.job_id}.saved"


def _has_ended(child: subprocess.Popen, patience: float | int = float("inf")) -> bool:
    """Wait for the end of a child for so many seconds, and tell whether it came."""
    until = time.monotonic() + patience
    while child.returncode is None:
        if time.monotonic() >= until:
            return False
        time.sleep(POLL)
    return True


def _wait_to_be_ended(here: "submitit.JobEnvironment") -> None:
    """Give Slurm time to end this process; return where it does not, or where the first task has failed."""
    until = time.monotonic() + TO_BE_ENDED
    result_of_first = here.paths.result_pickle.with_name(f"{here.job_id}_0_result.pkl")
    while time.monotonic() < until and not (here.global_rank > 0 and result_of_first.exists()):
        time.sleep(0.5)


@dataclass
class TrainingJob(Job):
    """A job that trains the runs of a chain, one after the other, on all its nodes."""

    folders: tuple[Path, ...]

    def work(self, here: "submitit.JobEnvironment") -> list[str]:
        """Train the runs, and return their folders; where one fails or is stopped, the rest is not begun."""
        first = here.global_rank == 0
        for folder in self.folders:
            run = Run.open(folder)
            if stopped_since(self.submitted, run.stop_path):
                raise SlurmError(
                    f"{folder}: a file `stop` was put there while the job waited. Submit it again to go on."
                )
            log = run.log_path if first else run.folder / f"training.node{here.global_rank}.log"
            while (code := self._train(run, log, here)) == ExitCode.TRAINED_ELSEWHERE:
                while is_owned(run.folder):  # by another job, or by this one on a node that was lost
                    time.sleep(SECONDS_BETWEEN_LOOKS)
            # A preemption begins with SIGTERM to all processes of a job, and may find one that does not hear it yet.
            # In the first task only people stop a training by a file: the job's own is put there by `checkpoint`,
            # which never returns here.
            stopped = code in (ExitCode.SIGTERM, ExitCode.SIGUSR1, -signal.SIGTERM)
            if stopped or (code == ExitCode.STOP_FILE and not first):
                _wait_to_be_ended(here)
                raise SlurmError(f"{folder}: was stopped, but its job was not queued again. Submit it again.")
            if code == ExitCode.STOP_FILE:
                raise SlurmError(f"{folder}: was stopped by its file `stop`. Submit it again to go on.")
            if code:
                raise SlurmError(f"{folder}: training failed (exit code {code}); {log} ends with\n{last_lines(log)}")
        return [str(folder) for folder in self.folders]

    def _train(self, run: Run, log: Path, here: "submitit.JobEnvironment") -> int:
        """Train a run in this task, and return the exit code."""
        before = run.status
        code = self.run(training_of(run, here), log)
        return written_code(run, before) if code and run.config.hardware.num_nodes > 1 else code


def training_of(run: Run, here: "submitit.JobEnvironment") -> list[str]:
    """Return the command that trains a run on this node: by torchrun where the run asks for several nodes."""
    hardware = run.config.hardware
    if hardware.num_nodes == 1:
        return training_command([run.folder])
    # They meet on the first node, at a port that the job's number chooses.
    address = [f"--master-addr={here.hostnames[0]}", f"--master-port={LOWEST_PORT + int(here.raw_job_id) % PORTS}"]
    options = [f"--nnodes={hardware.num_nodes}", f"--node-rank={here.global_rank}", *address]
    return [*several_processes(hardware.devices, options=options), str(run.folder)]


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

    def work(self, here: "submitit.JobEnvironment") -> str:
        """Execute the notebook by papermill, and return the path of the executed one."""
        log = here.paths.folder / f"{here.job_id}_notebook.log"
        # SIGTERM comes before the job's own signal where a job is preempted; trainings hear it, the notebook must not
        # die of it.
        if not self.run(papermill_command(self), log, ignored=(signal.SIGTERM,)):
            return str(self.output)
        if name_of_error(self.output) == "TrainingStopped":
            _wait_to_be_ended(here)
            raise SlurmError(f"{self.notebook.name}: its training was stopped. Submit it again to go on.")
        raise SlurmError(f"{self.notebook.name}: failed; see {self.output}. {log} ends with\n{last_lines(log)}")


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
