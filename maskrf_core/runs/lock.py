"""One process at a time trains a run: a lock that ends with its owner, however that ends.

The lock is one of POSIX (`lockf`), which the system releases when the process dies, kill -9 included, and which data
workers, forked from the training, do not hold on to. Network file systems that support locks share it among nodes.
"""

import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from maskrf_core.support.errors import RunError

LOCK_FILE = "training.lock"
PATIENCE = 2.0
"""Seconds that an owner-to-be tries again: those who only look at a lock hold it for an instant."""
_held: set[Path] = set()
"""Of this process, in which a lock never keeps anyone out, and closing any file of the same name would free it."""


class AlreadyTrained(RunError):  # noqa: N818 - said as it is, no fault
    """Another process is training the run."""


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder.

    Raises:
        AlreadyTrained: another process holds it, or this one does.
        RunError: the file system has no locks.
    """
    folder = folder.resolve()
    if folder in _held:
        raise AlreadyTrained(f"{folder}: is being trained by this very process.")
    with (folder / LOCK_FILE).open("a+", encoding="utf-8") as file:
        try:
            free = _acquired(file, fcntl.LOCK_EX, PATIENCE)
        except OSError as error:
            raise RunError(
                f"{folder}: cannot be locked ({error.strerror}), so two trainings could mix there. Choose a runs_root "
                "on a file system with locks."
            ) from error
        if not free:
            file.seek(0)
            raise AlreadyTrained(f"{folder}: is being trained already by {_described(file.read())}. Follow that one.")
        _held.add(folder)
        try:
            file.truncate(0)
            file.write(json.dumps(_owner()))
            file.flush()
            yield
        finally:
            _held.discard(folder)


def is_owned(folder: Path) -> bool:
    """Whether a living process is training the run."""
    folder = folder.resolve()
    if folder in _held:
        return True
    try:
        with (folder / LOCK_FILE).open("r", encoding="utf-8") as file:
            return not _acquired(file, fcntl.LOCK_SH, 0.0)
    except OSError:  # none there, or not to be read, or no file system of locks: then nobody holds one
        return False


def _acquired(file, kind: int, patience: float) -> bool:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.lockf(file, kind | fcntl.LOCK_NB)
            return True
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)


def _owner() -> dict[str, str | int]:
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": platform.node(), "since": since}


def _described(text: str) -> str:
    try:
        owner = json.loads(text)
        return f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
    except (json.JSONDecodeError, KeyError, TypeError):
        return "another process"
