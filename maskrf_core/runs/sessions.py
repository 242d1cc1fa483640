"""Sessions of a run: each process that trained it, with its end and its cost, in `provenance.json`."""

import os
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import torch

from maskrf_core.runs.provenance import COSTS, PROVENANCE_FILE, made_by, now, read_provenance
from maskrf_core.runs.run import Run
from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.machine import children_peak_memory_mib, peak_memory_mib

Exit = Literal["finished", "stopped", "failed"]
NOT_KNOWN_BEFORE_THE_END = ("ended", "to_step", "exit", "reason", "workers_peak_memory_mib", *COSTS)


class Session:
    """One training process, from `begin_session` to `end`. The first of several processes keeps it for all."""

    def __init__(self, folder: Path, entry: dict[str, Any], device: torch.device):
        self.changed_data: list[str] = entry["changed_data"]
        """Scenes and data sets that are not what they were when the run began."""
        self._folder, self._entry, self._device = folder, entry, device
        self._since, self._children = time.monotonic(), children_peak_memory_mib()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def end(self, *, to_step: int, exit: Exit, reason: str | None = None) -> None:
        """Write how it ended and what it cost. Call it when the data workers have ended: only then are they counted.

        Peak memory is this process's since it began, whatever it did before this session.
        """
        children, cuda = children_peak_memory_mib(), self._device.type == "cuda"
        self._entry |= {
            "ended": now(),
            "to_step": to_step,
            "exit": exit,
            "reason": reason,
            "wall_seconds": round(time.monotonic() - self._since, 3),
            "peak_memory_mib": round(peak_memory_mib(), 1),
            "workers_peak_memory_mib": round(children, 1) if children > self._children else None,
            "gpu_peak_memory_mib": round(torch.cuda.max_memory_allocated(self._device) / 2**20, 1) if cuda else None,
        }
        values = _read_or_put_aside(self._folder)
        others = [entry for entry in values.get("sessions", []) if entry["number"] != self._entry["number"]]
        _write(self._folder, values | {"sessions": [*others, self._entry]})


def begin_session(
    run: Run,
    *,
    from_step: int,
    processes: int = 1,
    device: torch.device | str = "cpu",
    data: Mapping[str, str] | None = None,
) -> Session:
    """Note that this process trains the run now; call it with the run's lock held, before its log is opened.

    `data` are the fingerprints of what it trains on: those of the first session stay, later ones are held to them. A
    session before this one that has no end was killed, and is noted as such, up to its last sign of life. A file that
    cannot be written is said, and stops no training.
    """
    device = torch.device(device)
    values = _read_or_put_aside(run.folder)
    sessions = [_killed(run, entry) if entry["exit"] is None else entry for entry in values.get("sessions", [])]
    config = run.config.model_dump(mode="json")
    known_data = values.get("data") or dict(data or {})
    entry = {
        "number": len(sessions) + 1,
        "started": now(),
        **dict.fromkeys(NOT_KNOWN_BEFORE_THE_END),
        "from_step": from_step,
        "pid": os.getpid(),
        "processes": processes,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        **made_by(),
        "config": None if config == values.get("config") else config,
        "changed_data": [name for name, found in (data or {}).items() if known_data.get(name, found) != found],
    }
    session = Session(run.folder, entry, device)
    _write(run.folder, values | {"data": known_data, "sessions": [*sessions, entry]})
    return session


def _killed(run: Run, entry: dict[str, Any]) -> dict[str, Any]:
    """Fill in an entry without an end, from what the other files of the run folder tell."""
    steps = [entry["from_step"], *(int(row["step"]) for row in run.metric_rows())]
    status = run.status
    if status is not None and (status.pid, status.host) == (entry["pid"], entry["host"]):
        steps.append(status.step)
    signs = [
        datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        for path in (run.metrics_path, run.last_checkpoint)
        if path.is_file()
    ]
    begun = datetime.fromisoformat(entry["started"])
    seconds = max([0.0, *((sign - begun).total_seconds() for sign in signs)])
    return entry | {"exit": "killed", "to_step": max(steps), "wall_seconds": round(seconds, 3)}


def _read_or_put_aside(folder: Path) -> dict[str, Any]:
    """Read what made a run; rename a damaged file, and begin anew."""
    try:
        return read_provenance(folder)
    except ValueError:
        (folder / PROVENANCE_FILE).replace(folder / "provenance.damaged.json")
        return {}


def _write(folder: Path, values: dict[str, Any]) -> None:
    try:
        write_json(folder / PROVENANCE_FILE, values)
    except OSError as error:
        print(f"{folder / PROVENANCE_FILE}: could not be written ({error.strerror}). The training goes on.", flush=True)
