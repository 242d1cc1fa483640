"""What a training says of itself in its run folder while it goes: `training.json`."""

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from datetime import datetime, timezone

from maskrf_core.runs import Run, TrainingStatus
from maskrf_core.runs.status import State, write_status
from maskrf_core.training.process.stopping import ExitCode, TrainingStopped

SECONDS_BETWEEN = 1.0


class StatusReport:
    """Writes the status of one training process. A disk that is full or slow does not stop a training by this."""

    def __init__(self, run: Run, processes: int = 1):
        self._run = run
        self._started, self._written, self._state = _now(), 0.0, ""
        self._fixed = {"pid": os.getpid(), "host": platform.node(), "processes": processes, "started": self._started}
        self.step, self.steps = 0, run.config.training.steps

    def at(self, step: int) -> None:
        """So many steps are done; written at most once a second."""
        self.step = step
        if self._state != "training" or time.monotonic() - self._written >= SECONDS_BETWEEN:
            self.write("training")

    def write(self, state: State, reason: str | None = None, code: ExitCode | None = None) -> None:
        """Write now."""
        self._written, self._state = time.monotonic(), state
        status = TrainingStatus(
            state=state, step=self.step, steps=self.steps, reason=reason, exit_code=code, updated=_now(), **self._fixed
        )
        with contextlib.suppress(OSError):
            write_status(self._run.folder, status)

    def failed(self, reason: str) -> None:
        """Write that it failed, unless another of the processes that train together has said why already."""
        told = self._run.status
        if told is None or told.state != "failed":
            self.write("failed", reason, ExitCode.FAILED)


@contextlib.contextmanager
def status_report(run: Run, *, first: bool = True) -> Iterator[StatusReport]:
    """A report that says at the end how it ended. Only the `first` process says anything but why it failed."""
    report = StatusReport(run, run.config.hardware.processes)
    if first:
        report.write("starting")
    try:
        yield report
    except TrainingStopped as stopped:
        if first:
            report.write("stopped", str(stopped), stopped.code)
        raise
    except KeyboardInterrupt:
        if first:
            report.write("stopped", "interrupted; the steps since the last checkpoint are lost")
        raise
    except BaseException as error:
        report.failed(reason_of(error))
        raise
    if first:
        report.write("finished", None, ExitCode.FINISHED)


def reason_of(error: BaseException) -> str:
    """One error, said to people; of a lost connection, what that means."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, RuntimeError) and any(word in text for word in ("gloo", "Connection", "NCCL", "nccl")):
        return f"another process of this training ended, and this one cannot go on alone ({text.splitlines()[0]})"
    return text


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
