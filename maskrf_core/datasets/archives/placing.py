"""Putting whole files into a folder without ever replacing one that is there."""

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from maskrf_core.support.errors import DatasetError

STAGING = ".unpacking"
"""Folder in the destination that holds the one file being written; what is elsewhere is whole."""
CHUNK = 2**18
FILE_MODE, FOLDER_MODE = 0o644, 0o755


@contextlib.contextmanager
def staging(destination: Path) -> Iterator[Path]:
    """The path of the file that is being written, below `destination`; one process at a time may have it.

    Raises:
        DatasetError: another process has it.
    """
    destination.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    folder = destination / STAGING
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=FOLDER_MODE)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(f"{destination}: another process unpacks here. Wait until it is done.") from error
        try:
            (folder / "partial").unlink(missing_ok=True)  # of an unpacking that was killed
            yield folder / "partial"
        finally:
            (folder / "partial").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
    finally:
        os.close(lock)


def place(chunks: Iterable[bytes], partial: Path, target: Path) -> None:
    """Write a file at `partial`, then give it its place at `target`; folders on the way are made.

    Raises:
        FileExistsError: something is at `target`; it is left as it is.
    """
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
    partial.chmod(FILE_MODE)
    target.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    try:
        os.link(partial, target)  # unlike a renaming, it never replaces
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(None, "is there already", str(target)) from None
        partial.rename(target)


def has_contents(path: Path, chunks: Iterable[bytes]) -> bool:
    """Whether a file holds these bytes and no others."""
    with path.open("rb") as file:
        return all(file.read(len(chunk)) == chunk for chunk in chunks) and not file.read(1)


def chunks_of(path: Path) -> Iterator[bytes]:
    """A file, piece by piece."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def crc_of(path: Path) -> int:
    """CRC-32 of a file, as zip archives have it."""
    crc = 0
    for chunk in chunks_of(path):
        crc = zlib.crc32(chunk, crc)
    return crc
