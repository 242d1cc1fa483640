"""Reports of a training in its run folder: `training.json` while it goes, its session in `provenance.json`."""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import torch

from maskrf_core.checkpoints.published_files import file_of
from maskrf_core.runs import Run, TrainingStatus
from maskrf_core.runs.provenance import COSTS, PROVENANCE_FILE, home_shortened, made_by, now, read_provenance
from maskrf_core.runs.run import hold_to_weights
from maskrf_core.runs.status import State, write_status
from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.errors import RunError
from maskrf_core.support.machine import children_peak_memory_mib, peak_memory_mib
from maskrf_core.training.process.protocol import ExitCode, TrainingStopped

SECONDS_BETWEEN = 1.0
NOT_KNOWN_BEFORE_THE_END = ("ended", "to_step", "exit", "reason", "workers_peak_memory_mib", *COSTS)


class StatusReport:
    """The status of a training, written to its run. A disk that is full or slow stops no training by this."""

    def __init__(self, run: Run):
        self._run, self._started, self._written = run, now("milliseconds"), 0.0
        self._state: State | Literal[""] = ""
        self.step, self.steps, self.processes = 0, run.config.training.steps, run.config.hardware.processes

    def at(self, step: int) -> None:
        """Write that so many steps are done, at most once a second."""
        self.step = step
        if self._state != "training" or time.monotonic() - self._written >= SECONDS_BETWEEN:
            self.write("training")

    @contextlib.contextmanager
    def during(self, state: State) -> Iterator[None]:
        """Write that it validates or saves meanwhile, and then what it did before; nothing where none is reported."""
        before = self._state
        if before:
            self.write(state)
        yield
        if before:
            self.write(before)

    def write(self, state: State, reason: str | None = None, code: ExitCode | None = None) -> None:
        """Write the status now."""
        self._written, self._state = time.monotonic(), state
        status = TrainingStatus(
            state=state, step=self.step, steps=self.steps, reason=reason, exit_code=code, pid=os.getpid(),
            host=platform.node(), processes=self.processes, started=self._started, updated=now("milliseconds"),
        )  # fmt: skip
        with contextlib.suppress(OSError):
            write_status(self._run.folder, status)


@contextlib.contextmanager
def status_report(run: Run, *, first: bool = True) -> Iterator[StatusReport]:
    """Report the status, and at the end how it ended. Only the `first` process writes more than why it failed."""
    report = StatusReport(run)
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
        told = run.status
        if told is None or told.state != "failed":  # else another of the processes has said why
            report.write("failed", _reason_of(error), ExitCode.FAILED)
        raise
    if first:
        report.write("finished", None, ExitCode.FINISHED)


@contextlib.contextmanager
def record_session(run: Run, data: Mapping[str, str], done: Callable[[], int], device: torch.device) -> Iterator[None]:
    """Record this process in the run's provenance: fingerprints of its `data`, the steps `done`, its cost, its end.

    Enter it with the run's lock held and before the log is opened; leave it when the data workers have ended: only
    then are they counted. Peak memory is this process's since it began, whatever it did before.
    """
    weights = run.config.training.initial_weights
    if weights is not None and done() == 0:  # later, they are not needed any more
        hold_to_weights(run, file_of(weights))
    entry = begin_session(run, done(), data, device)
    since, before, cuda = time.monotonic(), children_peak_memory_mib(), device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    end, reason = "finished", None
    try:
        yield
    except BaseException as error:
        end, reason = "stopped" if isinstance(error, TrainingStopped) else "failed", _reason_of(error)
        raise
    finally:
        children = children_peak_memory_mib()
        entry |= {
            "ended": now(),
            "to_step": done(),
            "exit": end,
            "reason": reason,
            "wall_seconds": round(time.monotonic() - since, 3),
            "peak_memory_mib": round(peak_memory_mib(), 1),
            "workers_peak_memory_mib": round(children, 1) if children > before else None,
            "gpu_peak_memory_mib": round(torch.cuda.max_memory_allocated(device) / 2**20, 1) if cuda else None,
        }
        values = _read_or_put_aside(run.folder)
        others = [other for other in values.get("sessions", []) if other["number"] != entry["number"]]
        _write(run.folder, values | {"sessions": [*others, entry]})


def begin_session(run: Run, from_step: int, data: Mapping[str, str], device: torch.device) -> dict[str, Any]:
    """Note in the provenance that this process trains the run now, and return the new entry.

    The `data` of the first session stay, later ones are held to them, and what has changed is told. A session before
    this one that has no end was killed, and is noted as such.
    """
    values = _read_or_put_aside(run.folder)
    sessions = [_killed(run, each) if each["exit"] is None else each for each in values.get("sessions", [])]
    config = home_shortened(run.config.model_dump(mode="json"))
    known_data = values.get("data") or dict(data)
    entry = {
        "number": len(sessions) + 1,
        "started": now(),
        **dict.fromkeys(NOT_KNOWN_BEFORE_THE_END),
        "from_step": from_step,
        "pid": os.getpid(),
        "processes": run.config.hardware.processes,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        **made_by(),
        "config": None if config == home_shortened(values.get("config")) else config,
        "changed_data": [name for name, found in data.items() if known_data.get(name, found) != found],
    }
    for name in entry["changed_data"]:
        print(f"{name}: is not what it was when this run began; it is trained on as it is now", flush=True)
    _write(run.folder, values | {"data": known_data, "sessions": [*sessions, entry]})
    return entry


def _killed(run: Run, entry: dict[str, Any]) -> dict[str, Any]:
    """Fill in an entry without an end, up to the last sign of life in the other files of the run folder."""
    steps = [entry["from_step"], *(int(row["step"]) for row in run.metric_rows())]
    status = run.status
    if status is not None and (status.pid, status.host) == (entry["pid"], entry["host"]):
        steps.append(status.step)
    files = [path for path in (run.metrics_path, run.last_checkpoint) if path.is_file()]
    signs = [datetime.fromtimestamp(path.stat().st_mtime, timezone.utc) for path in files]
    begun = datetime.fromisoformat(entry["started"])
    seconds = max([0.0, *((sign - begun).total_seconds() for sign in signs)])
    return entry | {"exit": "killed", "to_step": max(steps), "wall_seconds": round(seconds, 3)}


def _read_or_put_aside(folder: Path) -> dict[str, Any]:
    """Read what made a run; rename a damaged file, and begin anew."""
    try:
        return read_provenance(folder)
    except RunError:
        (folder / PROVENANCE_FILE).replace(folder / "provenance.damaged.json")
        return {}


def _write(folder: Path, values: dict[str, Any]) -> None:
    try:
        write_json(folder / PROVENANCE_FILE, home_shortened(values))
    except OSError as error:
        print(f"{folder / PROVENANCE_FILE}: could not be written ({error.strerror}). The training goes on.", flush=True)


def _reason_of(error: BaseException) -> str:
    """Return the text of an error for people; of a lost connection, what that means."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, RuntimeError) and any(word in text for word in ("gloo", "Connection", "NCCL", "nccl")):
        return f"another process of this training ended, and this one cannot go on alone ({text.splitlines()[0]})"
    return text
