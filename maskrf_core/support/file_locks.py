"""Locks of POSIX (`lockf`): the system releases them when the process dies, kill -9 included; processes that it forked
do not hold on to them; and network file systems that support locks share them among nodes."""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from maskrf_core.support.errors import RunError

TURN_PATIENCE = 60.0  # seconds in which others, who hold a lock for an instant, are expected to be done
_threads = threading.Lock()  # within a process such locks keep nobody out, and closing any file frees them


def acquired(file: IO, kind: int, patience: float) -> bool:
    """Take the lock of an open file within so many seconds, and tell whether that succeeded.

    `kind` is `fcntl.LOCK_EX` or `fcntl.LOCK_SH`. `OSError` is raised where the file system has no locks.
    """
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.lockf(file, kind | fcntl.LOCK_NB)
            return True
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)


@contextmanager
def in_turns(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made, while something is read, changed and written.

    Raises:
        RunError: others hold it for a minute, or the file system has no locks.
    """
    with _threads, path.open("a", encoding="utf-8") as file:
        try:
            free = acquired(file, fcntl.LOCK_EX, TURN_PATIENCE)
        except OSError as error:
            raise RunError(f"{path}: cannot be locked ({error.strerror}). Choose a file system with locks.") from error
        if not free:
            raise RunError(f"{path}: is locked by another process for {TURN_PATIENCE:g} s. End it, and try again.")
        yield
