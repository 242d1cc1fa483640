"""What a run has cost, as far as its sessions say: each process that trained it noted its own in provenance.json."""

import json
from pathlib import Path
from typing import Any

MERGED = {"wall_seconds": sum, "peak_memory_mib": max, "gpu_peak_memory_mib": max, "energy_joules": sum}
COSTS = tuple(MERGED)


def provenance_of(folder: Path) -> dict[str, Any]:
    """What made a run; empty where that is missing.

    Raises:
        json.JSONDecodeError: the file is damaged.
    """
    path = folder / "provenance.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def cost(folder: Path) -> dict[str, float | None]:
    """Seconds and joules of all sessions together and MiB of the largest; None of what no session knows."""
    sessions = provenance_of(folder).get("sessions") or []
    merged = {}
    for name, merge in MERGED.items():
        known = [session[name] for session in sessions if isinstance(session.get(name), int | float)]
        whole = merge is max or len(known) == len(sessions)  # a sum that lacks a part would say too little
        merged[name] = float(merge(known)) if known and whole else None
    return merged
