"""Provenance of a run: its settings, code, versions, data, and the cost of the processes that trained it."""

import json
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from maskrf_core.settings.config import Config
from maskrf_core.support.errors import RunError
from maskrf_core.support.machine import machine, versions

PROVENANCE_FILE = "provenance.json"
# Costs of a session, and what several sessions of a run make of each.
MERGED = {"wall_seconds": sum, "peak_memory_mib": max, "gpu_peak_memory_mib": max}
COSTS = tuple(MERGED)


def provenance(seed: int, config: Config | None = None) -> dict[str, Any]:
    """Return what made a run; its training processes fill in `data` and `sessions`."""
    settings = config and home_shortened(config.model_dump(mode="json"))
    return {"started": now(), **made_by(), "seed": seed, "config": settings, "data": {}, "sessions": []}


def made_by() -> dict[str, Any]:
    """Describe this process: its command, computer, versions and code."""
    return {"command": home_shortened(_command()), **machine(), "versions": versions(), **code_state(Path(__file__))}


def _command() -> list[str]:
    """Return the program, its module where it is one, and arguments only of ours: those of others may hold secrets."""
    specification = getattr(sys.modules["__main__"], "__spec__", None)
    module = specification.name.removesuffix(".__main__") if specification else None
    ours = module is not None and module.partition(".")[0] == __name__.partition(".")[0]
    named = [] if module is None else ["-m", module]
    return [Path((sys.orig_argv or sys.argv)[0]).name, *named, *(sys.argv[1:] if ours else [])]


def home_shortened(value: Any) -> Any:
    """Return plain values with this user's home folder written as `~` in every text, which else says who they are."""
    match value:
        case str():
            for home in {str(Path.home()), str(Path.home().resolve())}:
                if len(home) > 1:  # not the root, where users have no home
                    value = re.sub(rf"(?<![\w./~-]){re.escape(home)}(?![\w-])", "~", value)
            return value
        case dict():
            return {home_shortened(key): home_shortened(each) for key, each in value.items()}
        case list() | tuple():
            return [home_shortened(each) for each in value]
    return value


def now(timespec: str = "seconds") -> str:
    """Return the time as ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec=timespec)


def read_provenance(folder: Path) -> dict[str, Any]:
    """Read what made a run; empty where that is missing. `RunError` where the file is damaged."""
    path = folder / PROVENANCE_FILE
    try:
        return {**json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}
    except (ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{path}: is damaged ({error}). Delete it: the rest of the run stays as it is.") from error


def code_state(file: Path) -> dict[str, str | bool | None]:
    """Return the commit of the checkout that tracks `file`, and whether anything in it differs; None without one.

    Code installed below another project's checkout is not that project's.
    """
    if _git(file.parent, "ls-files", "--error-unmatch", file.name) is None:
        return {"git_commit": None, "git_changes": None}
    changes = _git(file.parent, "status", "--porcelain")
    return {
        "git_commit": _git(file.parent, "rev-parse", "HEAD"),
        "git_changes": None if changes is None else bool(changes),
    }


def cost(folder: Path) -> dict[str, float | None]:
    """Return the seconds of all sessions together and the MiB of the largest; None of what no session knows."""
    sessions = read_provenance(folder).get("sessions") or []
    merged = {}
    for name, merge in MERGED.items():
        known = [session[name] for session in sessions if isinstance(session.get(name), int | float)]
        whole = merge is max or len(known) == len(sessions)  # a sum that lacks a part would say too little
        merged[name] = float(merge(known)) if known and whole else None
    return merged


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints there, None where it is missing or refuses."""
    try:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
