"""The node of a job: where a task is, how the nodes find each other, and the child process that does the work."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LOWEST_PORT, PORTS = 20_000, 10_000
"""Of rendezvous: below those that systems hand out by themselves. The job's number chooses."""
LAST_LINES = 20
POLL = 0.1  # seconds between two looks at a child


@dataclass(frozen=True)
class Place:
    """A task of a job: one a node."""

    job_id: str  # as people see it, `12_3` in an array
    rank: int
    host: str
    first_host: str
    port: int
    folder: Path  # the folder of the job's logs and results
    result_of_first: Path  # A file that is there once the first task has ended for good

    @staticmethod
    def here() -> "Place":
        """Return the place of this process, from the environment that Slurm gave it."""
        from submitit import JobEnvironment

        job = JobEnvironment()
        first = job.paths.result_pickle.with_name(f"{job.job_id}_0_result.pkl")
        port = LOWEST_PORT + int(job.raw_job_id) % PORTS
        return Place(job.job_id, job.global_rank, job.hostname, job.hostnames[0], port, job.paths.folder, first)

    def torchrun_options(self, nodes: int) -> list[str]:
        """Return the options by which torchrun on all nodes meets: on the first node, at a port of the job's own."""
        address = [f"--master-addr={self.first_host}", f"--master-port={self.port}"]
        return [f"--nnodes={nodes}", f"--node-rank={self.rank}", *address]

    def wait_for_the_end(self, seconds: float) -> None:
        """Give Slurm time to end this process; return where it does not, or where the first task has failed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not (self.rank > 0 and self.result_of_first.exists()):
            time.sleep(0.5)


@dataclass
class Child:
    """A process of its own session, whose output is appended to a file."""

    log: Path
    process: subprocess.Popen

    @staticmethod
    def start(command: list[str], environment: Mapping[str, str], log: Path, ignored: tuple[int, ...]) -> "Child":
        """Start it. Slurm's signals reach every process of a job: those of `ignored` are meant for the job alone."""

        def ignore() -> None:
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)

        with log.open("ab") as output:
            process = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=ignore,
            )  # fmt: skip
        # Both the job and its signal handler, which interrupts it anywhere, look at `returncode`: without a lock, so
        # that neither can wait for the other.
        threading.Thread(target=process.wait, daemon=True).start()
        return Child(log, process)

    def wait(self, patience: int | None = None) -> int | None:
        """Wait for its end, and return the exit code, or none where it has not ended after `patience` seconds."""
        until = None if patience is None else time.monotonic() + patience
        while self.process.returncode is None:
            if until is not None and time.monotonic() >= until:
                return None
            time.sleep(POLL)
        return self.process.returncode

    def kill(self) -> None:
        """End it and its session at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()

    def last_lines(self) -> str:
        """Read the end of its output, for messages."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:])
