"""The training of a run as others see it: the lock that its process holds, and the status that it writes."""

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from maskrf_core.runs.provenance import now
from maskrf_core.settings.sections import Settings
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.errors import RunError
from maskrf_core.support.file_locks import acquired

STATUS_FILE = "training.json"
LOCK_FILE = "training.lock"
PATIENCE = 2.0  # seconds for which a lock is tried again: those who only look at one hold it for an instant
State = Literal["starting", "training", "validating", "saving", "finished", "stopped", "failed"]
UNDER_WAY = ("starting", "training", "validating", "saving")
"""States of a training that has not ended, or that was killed in one of them."""
# Of this process, in which a lock never keeps anyone out, and closing any file of the same name would free it.
_held: set[Path] = set()


class TrainingStatus(Settings):
    """The newest state of a run's training. One that was killed never wrote its end: `is_owned` tells."""

    state: State
    step: int  # steps done
    steps: int  # steps in all
    reason: str | None = None  # why it stopped or failed
    exit_code: int | None = None  # `maskrf_core.training.process.protocol.ExitCode`, once it has ended
    pid: int
    host: str
    processes: int
    started: str  # when this process began, ISO 8601 in UTC
    updated: str


def write_status(folder: Path, status: TrainingStatus) -> None:
    """Replace the status that was written last."""
    text = status.model_dump_json(indent=2) + "\n"
    write_atomically(folder / STATUS_FILE, lambda file: file.write(text.encode()), durable=False)


class AlreadyTrained(RunError):  # noqa: N818 - said as it is, no fault
    """Another process is training the run."""


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder, so that one process at a time trains it.

    Raises:
        AlreadyTrained: another process holds it, or this one does.
        RunError: the file system has no locks.
    """
    folder = folder.resolve()
    if folder in _held:
        raise AlreadyTrained(f"{folder}: is being trained by this very process.")
    with (folder / LOCK_FILE).open("a+", encoding="utf-8") as file:
        try:
            free = acquired(file, fcntl.LOCK_EX, PATIENCE)
        except OSError as error:
            raise RunError(
                f"{folder}: cannot be locked ({error.strerror}), so two trainings could mix there. Choose a runs_root "
                "on a file system with locks."
            ) from error
        if not free:
            file.seek(0)
            owner = "another process"
            with suppress(ValueError, KeyError, TypeError):  # it may not have written what it is
                owner = "process {pid} on {host}, since {since}".format(**json.loads(file.read()))
            raise AlreadyTrained(f"{folder}: is being trained already by {owner}. Follow that one.")
        _held.add(folder)
        try:
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "host": platform.node(), "since": now()}))
            file.flush()
            yield
        finally:
            _held.discard(folder)


def is_owned(folder: Path) -> bool:
    """Tell whether a living process is training the run."""
    folder = folder.resolve()
    if folder in _held:
        return True
    try:
        with (folder / LOCK_FILE).open("r", encoding="utf-8") as file:
            return not acquired(file, fcntl.LOCK_SH, 0.0)
    except OSError:  # none there, or not to be read, or no file system of locks: then nobody holds one
        return False
