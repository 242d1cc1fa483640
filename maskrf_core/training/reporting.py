"""Reports of a training in its run folder: `training.json` while it goes, its entry in `provenance.json` at the end."""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import torch

from maskrf_core.datasets.batches.mixture import Mixture, fingerprints
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.batches.training_views import OneScene
from maskrf_core.runs import Run, TrainingStatus
from maskrf_core.runs.run import hold_to_weights
from maskrf_core.runs.sessions import begin_session
from maskrf_core.runs.status import State, write_status
from maskrf_core.training.process.protocol import ExitCode, TrainingStopped

SECONDS_BETWEEN = 1.0


class StatusReport:
    """The status of one training process, written to its run. A disk that is full or slow stops no training by this."""

    def __init__(self, run: Run, processes: int = 1):
        self._run = run
        self._started, self._written, self._state = _now(), 0.0, ""
        self._fixed = {"pid": os.getpid(), "host": platform.node(), "processes": processes, "started": self._started}
        self.step, self.steps = 0, run.config.training.steps

    def at(self, step: int) -> None:
        """Write that so many steps are done, at most once a second."""
        self.step = step
        if self._state != "training" or time.monotonic() - self._written >= SECONDS_BETWEEN:
            self.write("training")

    def write(self, state: State, reason: str | None = None, code: ExitCode | None = None) -> None:
        """Write the status now."""
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
    """Report the status, and at the end how it ended. Only the `first` process writes more than why it failed."""
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
        report.failed(_reason_of(error))
        raise
    if first:
        report.write("finished", None, ExitCode.FINISHED)


@contextlib.contextmanager
def record_session(
    run: Run,
    scenes: Mixture | OneScene,
    validation_scenes: Iterable[SceneViews],
    *,
    device: torch.device,
    done: Callable[[], int],
) -> Iterator[None]:
    """Record in the provenance the steps done meanwhile, by `done`, their cost, and the data they were done on.

    Data that have changed since the run began are told, and trained on all the same.
    """
    weights = run.config.training.initial_weights
    if weights is not None and done() == 0:  # later, they are not needed any more
        hold_to_weights(run, Path(weights))
    session = begin_session(
        run,
        from_step=done(),
        processes=run.config.hardware.processes,
        device=device,
        data=fingerprints(scenes, validation_scenes),
    )
    for name in session.changed_data:
        print(f"{name}: is not what it was when this run began; it is trained on as it is now", flush=True)
    try:
        yield
    except BaseException as error:
        ended = "stopped" if isinstance(error, TrainingStopped) else "failed"
        session.end(to_step=done(), exit=ended, reason=_reason_of(error))
        raise
    session.end(to_step=done(), exit="finished")


def _reason_of(error: BaseException) -> str:
    """Return the text of an error for people; of a lost connection, what that means."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, RuntimeError) and any(word in text for word in ("gloo", "Connection", "NCCL", "nccl")):
        return f"another process of this training ended, and this one cannot go on alone ({text.splitlines()[0]})"
    return text


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
