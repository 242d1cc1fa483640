"""The training process of a run, seen from outside: started or found, followed, asked to stop, and its end."""

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import indent

from maskrf_core.runs import Run, TrainingStatus
from maskrf_core.runs.status import UNDER_WAY, is_owned
from maskrf_core.support.errors import RunError
from maskrf_core.training.process.protocol import (
    ExitCode,
    TrainingStopped,
    last_lines,
    training_command,
    training_environment,
)

KILLED = "It was killed, as a system does that runs out of memory."


@dataclass
class TrainingProcess:
    """The process that trains `run`, whether this one started it or not. It outlives this one."""

    run: Run
    _child: subprocess.Popen | None
    _before: TrainingStatus | None
    _read_from: int

    @classmethod
    def of(cls, run: Run, environment: Mapping[str, str] | None = None) -> "TrainingProcess":
        """Start to train a run, with the variables of `environment` added, or find the process that does."""
        found, before = cls.seen(run), run.status
        if is_owned(run.folder):
            return found
        with run.log_path.open("ab") as log:
            child = subprocess.Popen(
                training_command([run.folder]), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=training_environment() | dict(environment or {}),
                start_new_session=True,  # or it would end with the kernel of a notebook
            )  # fmt: skip
        return cls(run, child, before, found._read_from)

    @classmethod
    def seen(cls, run: Run) -> "TrainingProcess":
        """Return the process that trains a run or, if none does, the one that did last; none is started."""
        before = run.status
        still_its_own = before is None or before.state in UNDER_WAY or not is_owned(run.folder)
        written = run.log_path.stat().st_size if run.log_path.is_file() else 0
        return cls(run, None, None if still_its_own else before, written)

    @property
    def was_found(self) -> bool:
        """Tell whether it had been started by someone else."""
        return self._child is None

    @property
    def status(self) -> TrainingStatus | None:
        """Read the status that it has written; none where that is from the process before it."""
        status = self.run.status
        return None if status == self._before else status

    def runs(self) -> bool:
        """Tell whether it still trains. A second start that finds the run taken becomes one that follows."""
        if self._child is not None and self._child.poll() == ExitCode.TRAINED_ELSEWHERE:
            self._child = None
        return is_owned(self.run.folder) if self._child is None else self._child.poll() is None

    def new_text(self) -> str:
        """Read the whole lines that it has printed since the last call."""
        new = self.run.log_path.read_bytes()[self._read_from :] if self.run.log_path.is_file() else b""
        whole = len(new) if not self.runs() else new.rfind(b"\n") + 1
        self._read_from += whole
        return new[:whole].decode(errors="replace")

    def ask_to_stop(self) -> None:
        """Ask it to save and end, which it does within a step; one that has not begun yet just ends."""
        if self._child is not None and self.status is None:
            self._child.send_signal(signal.SIGTERM)
        self.run.stop_path.touch()

    def check_end(self) -> None:
        """Return if all steps are done, once it has ended; otherwise raise why they are not.

        Raises:
            TrainingStopped: it was asked to stop, and has saved.
            RunError: it failed or was killed, with its reason and its last lines.
        """
        self.run.stop_path.unlink(missing_ok=True)  # it may have ended by itself before it saw that
        self.raise_unless_done()

    def raise_unless_done(self) -> None:
        """Raise as `check_end`; nothing is changed, so that whoever only looks may call it."""
        status = self.status
        if status is None and self.was_found:
            raise RunError(f"{self.run.folder}: nothing has trained it yet.")
        state = None if status is None else status.state
        code = -signal.SIGKILL if self._child is None else self._child.returncode
        if state == "finished":
            return
        if state == "stopped":
            raise TrainingStopped(status.reason or "stopped", ExitCode(status.exit_code or ExitCode.SIGINT))
        if state == "failed":
            reason = status.reason
        elif code is None or code == -signal.SIGKILL:
            reason = KILLED
        else:
            end = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            reason = f"It {end} and did not say why."
        raise RunError(
            f"{self.run.folder}: the training process failed. {reason}\nIts last lines, of {self.run.log_path.name}:\n"
            f"{indent(last_lines(self.run.log_path), '  ')}\nWhat is saved stays: start it again to go on from there."
        )
