"""The training processes of a run, one after the other: what each of them was, did and cost, in `provenance.json`."""

import os
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import torch

from maskrf_core.datasets.batches.fingerprint import changed
from maskrf_core.runs.energy import EnergyMeter
from maskrf_core.runs.machine import children_peak_memory_mib, peak_memory_mib
from maskrf_core.runs.provenance import PROVENANCE_FILE, made_by, now, read_provenance
from maskrf_core.runs.run import Run
from maskrf_core.runs.status import read_status
from maskrf_core.support.atomic_files import write_json

Exit = Literal["finished", "stopped", "failed"]
NOT_KNOWN_BEFORE_THE_END = ("ended", "to_step", "exit", "reason", "wall_seconds", "peak_memory_mib",
                            "workers_peak_memory_mib", "gpu_peak_memory_mib", "energy_joules")  # fmt: skip


class Session:
    """One training process, from `begin_session` to `end`. The first of several processes keeps it for all."""

    def __init__(self, folder: Path, entry: dict[str, Any], device: torch.device, changed_data: list[str]):
        self.changed_data = changed_data
        """Scenes and data sets that are not what they were when the run began."""
        self._folder, self._entry, self._device = folder, entry, device
        self._since, self._children = time.monotonic(), children_peak_memory_mib()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._energy = EnergyMeter(_gpus_in_use(device))
        entry["energy_from"] = self._energy.source

    def end(self, *, to_step: int, exit: Exit, reason: str | None = None) -> None:
        """Write what came of it. Call it when the data workers have ended: of those that have not, nothing is known.

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
            "energy_joules": self._energy.joules(),
        }
        self._energy.close()
        said = read_provenance(self._folder)
        others = [entry for entry in said.get("sessions", []) if entry["number"] != self._entry["number"]]
        _write(self._folder, said | {"sessions": [*others, self._entry]})


def begin_session(
    run_folder: Path,
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
    said = read_provenance(run_folder)
    sessions = [_killed(run_folder, entry) if entry["exit"] is None else entry for entry in said.get("sessions", [])]
    config = Run(run_folder).config.model_dump(mode="json")
    noted = said.get("data") or dict(data or {})
    entry = {
        "number": len(sessions) + 1,
        "started": now(),
        **dict.fromkeys(NOT_KNOWN_BEFORE_THE_END),
        "from_step": from_step,
        "pid": os.getpid(),
        "processes": processes,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        **made_by(),
        "config": None if config == said.get("config") else config,
        "changed_data": changed(noted, data or {}),
    }
    session = Session(run_folder, entry, device, entry["changed_data"])
    _write(run_folder, said | {"data": noted, "sessions": [*sessions, entry]})
    return session


def _killed(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """An entry without an end, with what the other files say of it."""
    steps = [entry["from_step"], *Run(folder).metrics()["step"]]
    status = read_status(folder)
    if status is not None and (status.pid, status.host) == (entry["pid"], entry["host"]):
        steps.append(status.step)
    files = (folder / "metrics.csv", folder / "checkpoints" / "last.pt")
    signs = [datetime.fromtimestamp(path.stat().st_mtime, timezone.utc) for path in files if path.is_file()]
    begun = datetime.fromisoformat(entry["started"])
    seconds = max([0.0, *((sign - begun).total_seconds() for sign in signs)])
    return entry | {"exit": "killed", "to_step": int(max(steps)), "wall_seconds": round(seconds, 3)}


def _gpus_in_use(device: torch.device) -> list[str]:
    """UUIDs of those that the processes of this node train on."""
    if device.type != "cuda":
        return []
    count = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    indices = range(count) if count > 1 else [torch.cuda.current_device() if device.index is None else device.index]
    return [f"GPU-{torch.cuda.get_device_properties(index).uuid}" for index in indices]


def _write(folder: Path, said: dict[str, Any]) -> None:
    try:
        write_json(folder / PROVENANCE_FILE, said)
    except OSError as error:
        print(f"{folder / PROVENANCE_FILE}: could not be written ({error.strerror}). The training goes on.", flush=True)
