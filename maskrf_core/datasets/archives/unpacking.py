"""Unpacking downloaded archives: checked as a whole first, never over a file that is there, and resumable."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from maskrf_core.datasets.archives.archive_members import (
    CHUNK,
    REMEDY,
    Member,
    check_unpacked_size,
    checked_path,
    opened_archive,
)
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.progress import CountedProgress

LEFT_OUT = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")  # names that systems add to archives by themselves
STAGING = ".unpacking"  # folder in the destination that holds the one file being written; what is elsewhere is whole
LONGEST_CHAIN = 40  # links to links that are followed


class Unpacked(NamedTuple):
    """Counts of an archive's files; `left_out` are not below `strip`, or added by a system for itself."""

    written: int
    already_there: int
    left_out: int


def unpack(archive: str | Path, destination: str | Path, *, strip: str = "") -> Unpacked:
    """Unpack what lies below the folder `strip` of an archive into `destination`.

    The whole archive is checked before anything is written. A file that is there already with the same contents is
    done, so that calling again goes on where it stopped; nothing is ever overwritten or deleted. Links become copies
    of the files they point to. Files are written beside and put into place whole, readable by all, never executable.

    Raises:
        DatasetError: the archive is damaged, or a member must not be unpacked, or a file that is there differs, or
            the disk is too small; what is unpacked already is kept.
    """
    archive, destination = Path(archive), Path(destination)
    try:
        unpacking = _Unpacking(archive, destination, f"{checked_path(strip, 'strip')}/" if strip else "")
        unpacking.survey()
        with staging(destination) as partial:
            return unpacking.write(partial)
    except OSError as error:
        raise DatasetError(
            f"{archive.name}: cannot be unpacked into {destination}: {error.strerror or error} "
            f"({error.filename or destination}). Make room or get the right to write there; then call it again."
        ) from error


class _Unpacking:
    """An archive on its way below `destination`: what there is to do is found out before anything is written."""

    def __init__(self, archive: Path, destination: Path, prefix: str):
        self.archive, self.destination, self.prefix = archive, destination, prefix
        self.sizes: dict[str, int] = {}
        self.links: dict[str, str] = {}
        self.there: set[str] = set()
        self.left_out = self.missing = 0

    def survey(self) -> None:
        """Find sizes of files, targets of links and files that are there; `DatasetError` if it cannot be unpacked."""
        checked: set[Path] = set()
        with contextlib.closing(self._members(None, "checking")) as members:
            for member, path in members:
                self._check_folders(path, checked)
                if member.link_to is not None:
                    self.links[path] = self._below(member.link_to) or ""
                    continue
                self.sizes[path] = member.size
                if os.path.lexists(self.destination / path):
                    self._check_contents(self.destination / path, member.chunks())
                    self.there.add(path)
        if not self.sizes:
            below = f" below {self.prefix[:-1]}" if self.prefix else ""
            raise DatasetError(f"{self.archive.name}: holds no files{below}. {REMEDY}")
        self.links = {link: self._end_of_chain(link) for link in self.links}
        if present := {link: of for link, of in self.links.items() if os.path.lexists(self.destination / link)}:
            with contextlib.closing(self._members(None, "checking links of")) as members:
                for member, path in members:
                    for link in [link for link, of in present.items() if of == path and member.link_to is None]:
                        self._check_contents(self.destination / link, member.chunks())
        copies = sum(self.sizes[target] for target in self.links.values())
        check_unpacked_size(self.archive, sum(self.sizes.values()) + copies)
        self.missing = sum(size for path, size in self.sizes.items() if path not in self.there)
        parents = [self.destination, *self.destination.absolute().parents]
        existing = next(folder for folder in parents if folder.is_dir())
        if (needed := self.missing + copies) > (free := shutil.disk_usage(existing).free):
            space = f"unpacking takes {needed / 1e9:.2f} GB, but {existing} has {free / 1e9:.2f} GB left"
            raise DatasetError(f"{self.archive.name}: {space}. Make room, or give another data root.")

    def write(self, partial: Path) -> Unpacked:
        """Write what is not there yet: files in the archive's order, then the copies that links become."""
        written, already_there = 0, len(self.there)
        with contextlib.closing(self._members(self.missing, "unpacking")) as members:
            for member, path in members:
                if member.link_to is None and path not in self.there:
                    self._place(member.chunks(), partial, self.destination / path)
                    written += 1
        for path, source in self.links.items():
            target, chunks = self.destination / path, _chunks_of(self.destination / source)
            if os.path.lexists(target):
                self._check_contents(target, chunks)
                already_there += 1
            else:
                self._place(chunks, partial, target)
                written += 1
        return Unpacked(written, already_there, self.left_out)

    def _members(self, total: int | None, doing: str) -> Iterator[tuple[Member, str]]:
        """Yield the members below the prefix with their paths below it, and show a bar; others are counted."""
        self.left_out, bar = 0, CountedProgress(total, f"{doing} {self.archive.name}", in_bytes=True)
        with contextlib.closing(bar), opened_archive(self.archive) as members:
            for member in members:
                path = self._below(member.path)
                if path is None or set(path.split("/")) & set(LEFT_OUT):
                    self.left_out += 1
                    continue
                yield member, path
                bar.advance(member.size)

    def _below(self, path: str) -> str | None:
        return path[len(self.prefix) :] if path.startswith(self.prefix) else None

    def _check_folders(self, path: str, checked: set[Path]) -> None:
        """Refuse a file, or a link that leads out of the destination, where a folder on the way has to be."""
        if path.split("/")[0] == STAGING:
            raise DatasetError(f"{path}: the name {STAGING} is needed for unpacking itself. Unpack it by hand.")
        for parent in list(Path(path).parents)[-2::-1]:
            if parent in checked:
                continue
            checked.add(parent)
            folder, root = self.destination / parent, self.destination
            if os.path.lexists(folder) and not folder.is_dir():
                raise DatasetError(f"{folder}: a folder has to be there, but it is a file. Move it away.")
            if folder.is_symlink() and not folder.resolve().is_relative_to(root.resolve()):
                raise DatasetError(f"{folder}: is a link that leads out of {root}. Unpack there, or remove it.")

    def _check_contents(self, target: Path, chunks: Iterable[bytes]) -> None:
        """Raise `DatasetError` unless the target is a file with just these contents."""
        if not target.is_file():
            raise self._differs(target)
        with target.open("rb") as file:
            if not all(file.read(len(chunk)) == chunk for chunk in chunks) or file.read(1):
                raise self._differs(target)

    def _end_of_chain(self, link: str) -> str:
        """Return the file that a link, or a link to a link, stands for."""
        target = link
        for _ in range(LONGEST_CHAIN):
            target = self.links.get(target, target)
            if target in self.sizes:
                return target
        what = f"{link} links to {self.links[link] or 'something'!r}, which is no file of the archive"
        raise DatasetError(f"{self.archive.name}: {what}, so nothing is unpacked. Unpack it by hand if you trust it.")

    def _place(self, chunks: Iterable[bytes], partial: Path, target: Path) -> None:
        """Write a file at `partial`, then give it its place at `target`; whatever is there already stays as it is."""
        partial.unlink(missing_ok=True)  # maybe of an unpacking that was killed, and one with the file in its place
        with partial.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(partial, target)  # unlike a renaming, it never replaces
        except OSError:
            if os.path.lexists(target):
                raise self._differs(target) from None
            partial.rename(target)  # a file system without hard links

    def _differs(self, target: Path) -> DatasetError:
        what = f"is there already and differs from what {self.archive.name} holds. Nothing is overwritten"
        return DatasetError(f"{target}: {what}: move it away, or unpack into another folder.")


@contextlib.contextmanager
def staging(destination: Path) -> Iterator[Path]:
    """Yield the path of the file being written, below `destination`; `DatasetError` if another process has it."""
    folder = destination / STAGING
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield folder / "partial"
        finally:
            with contextlib.suppress(OSError):  # others may have put something in it
                (folder / "partial").unlink(missing_ok=True)
                folder.rmdir()
    except BlockingIOError as error:
        raise DatasetError(f"{destination}: another process unpacks here. Wait until it is done.") from error
    finally:
        os.close(lock)


def _chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
