"""What made a run: when, where, from which settings and code, with which versions, on which data."""

import json
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from maskrf_core.runs.machine import machine, versions
from maskrf_core.settings.config import Config

PROVENANCE_FILE = "provenance.json"


def provenance(seed: int, config: Config | None = None) -> dict[str, Any]:
    """What made a run: when, where, from which settings and code, with which versions.

    `data` and `sessions` are filled by its training processes (`maskrf_core.runs.sessions`).
    """
    return {
        "started": now(),
        **made_by(),
        "seed": seed,
        "config": config and config.model_dump(mode="json"),
        "data": {},
        "sessions": [],
    }


def made_by() -> dict[str, Any]:
    """This process: its command, computer, versions and code."""
    return {"command": command(), **machine(), "versions": versions(), **code_state(Path(__file__))}


def command() -> list[str]:
    """How this process was started."""
    program, *arguments = sys.orig_argv or sys.argv
    return [Path(program).name, *arguments]


def code_state(file: Path) -> dict[str, str | bool | None]:
    """The commit of the checkout that holds `file`, and whether anything in it differs from that commit.

    Both None where git is missing or does not track the file: code installed below another project's checkout is not
    that project's.
    """
    tracked = _git(file.parent, "ls-files", "--error-unmatch", file.name)
    changes = None if tracked is None else _git(file.parent, "status", "--porcelain")
    return {
        "git_commit": None if tracked is None else _git(file.parent, "rev-parse", "HEAD"),
        "git_changes": None if changes is None else bool(changes),
    }


def read_provenance(folder: Path) -> dict[str, Any]:
    """What the file of a run folder says; empty where there is none. A damaged one is put aside."""
    path = folder / PROVENANCE_FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, UnicodeDecodeError):
        path.replace(folder / "provenance.damaged.json")
        return {}
    return said if isinstance(said, dict) else {}


def now() -> str:
    """ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says there, None where it is missing or refuses."""
    try:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
