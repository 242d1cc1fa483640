"""The process that a job starts for its work, and watches."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LAST_LINES = 20
POLL = 0.1
"""Seconds between two looks at it."""


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
        """Exit code, or none where it has not ended after `patience` seconds."""
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
        """The end of its output, for messages."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:])
