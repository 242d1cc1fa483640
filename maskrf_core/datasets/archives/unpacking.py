"""Unpacking downloaded archives: checked as a whole first, never over a file that is there, and resumable."""

import contextlib
import fcntl
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from maskrf_core.datasets.archives.archive_members import (
    CHUNK,
    REMEDY,
    Member,
    checked_path,
    largest_unpacked,
    opened_archive,
    too_large,
)
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.progress import ByteProgress

LEFT_OUT = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
"""Names that systems add to archives by themselves."""
STAGING = ".unpacking"
"""Folder in the destination that holds the one file being written; what is elsewhere is whole."""
LONGEST_CHAIN = 40
"""Links to links that are followed."""


@dataclass
class Unpacked:
    """Counts of an archive's files; `left_out` are not below `strip`, or added by a system for itself."""

    written: int = 0
    already_there: int = 0
    left_out: int = 0


@dataclass
class _Survey:
    """The work to do, found out before anything is written: sizes of files, targets of links, files that are there."""

    counts: Unpacked = field(default_factory=Unpacked)
    sizes: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)


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
        survey = _surveyed(archive, destination, strip)
        needed = _check_sizes(archive, destination, survey)
        with staging(destination) as partial:
            return _written(archive, destination, strip, survey, needed, partial)
    except OSError as error:
        raise DatasetError(
            f"{archive.name}: cannot be unpacked into {destination}: {error.strerror or error} "
            f"({error.filename or destination}). Make room or get the right to write there; then call it again."
        ) from error


def _surveyed(archive: Path, destination: Path, strip: str) -> _Survey:
    survey, checked = _Survey(), set()
    with contextlib.closing(_read(archive, None, f"checking {archive.name}", strip, survey.counts)) as members:
        for member, relative in members:
            _check_folders(destination, relative, checked)
            if member.link_to is not None:
                survey.links[relative] = _below(member.link_to, strip) or ""
                continue
            survey.sizes[relative] = member.size
            if os.path.lexists(destination / relative):
                _check_same(member, destination / relative, archive)
                survey.there.add(relative)
    if not survey.sizes:
        raise DatasetError(f"{archive.name}: holds no files{f' below {strip}' if strip else ''}. {REMEDY}")
    for relative in survey.links:
        survey.links[relative] = _end_of_chain(relative, survey, archive)
    return survey


def _check_sizes(archive: Path, destination: Path, survey: _Survey) -> int:
    """Return the bytes of the files to write; links must not multiply what there is, and all must fit the disk."""
    files = sum(size for path, size in survey.sizes.items() if path not in survey.there)
    copies = sum(survey.sizes[target] for target in survey.links.values())
    if sum(survey.sizes.values()) + copies > largest_unpacked(archive):
        raise too_large(archive)
    existing = next(folder for folder in [destination, *destination.absolute().parents] if folder.is_dir())
    if files + copies > (free := shutil.disk_usage(existing).free):
        raise DatasetError(
            f"{archive.name}: unpacking takes {(files + copies) / 1e9:.2f} GB, but {existing} has {free / 1e9:.2f} GB "
            "left. Make room, or give another data root."
        )
    return files


def _written(archive: Path, destination: Path, strip: str, survey: _Survey, needed: int, partial: Path) -> Unpacked:
    """Write what is not there yet: files in the archive's order, then the copies that links become."""
    result = survey.counts
    result.already_there = len(survey.there)
    with contextlib.closing(_read(archive, needed, f"unpacking {archive.name}", strip, Unpacked())) as members:
        for member, relative in members:
            if member.link_to is None and relative not in survey.there:
                _place(member.chunks(), partial, destination / relative, archive)
                result.written += 1
    for relative, source in survey.links.items():
        target = destination / relative
        if not os.path.lexists(target):
            _place(_chunks_of(destination / source), partial, target, archive)
            result.written += 1
        elif target.is_file() and _has_contents(target, _chunks_of(destination / source)):
            result.already_there += 1
        else:
            raise _differs(target, archive)
    return result


def _read(archive: Path, total: int | None, title: str, strip: str, counts: Unpacked) -> Iterator[tuple[Member, str]]:
    """Yield the members below `strip` with their paths below it, and show a bar; others are counted."""
    progress = ByteProgress(total, title)
    try:
        with opened_archive(archive) as members:
            for member in members:
                relative = _below(member.path, strip)
                if relative is None or set(relative.split("/")) & set(LEFT_OUT):
                    counts.left_out += 1
                    continue
                yield member, relative
                progress.advance(member.size)
    finally:
        progress.close()


def _below(path: str, strip: str) -> str | None:
    prefix = f"{checked_path(strip, 'strip')}/" if strip else ""
    return path[len(prefix) :] if path.startswith(prefix) else None


def _check_folders(destination: Path, relative: str, checked: set[Path]) -> None:
    """Refuse a file, or a link that leads out of the destination, where a folder on the way has to be."""
    if relative.split("/")[0] == STAGING:
        raise DatasetError(f"{relative}: the name {STAGING} is needed for unpacking itself. Unpack it by hand.")
    for parent in list(Path(relative).parents)[-2::-1]:
        if parent in checked:
            continue
        checked.add(parent)
        folder = destination / parent
        if os.path.lexists(folder) and not folder.is_dir():
            raise DatasetError(f"{folder}: a folder has to be there, but it is a file. Move it away.")
        if folder.is_symlink() and not folder.resolve().is_relative_to(destination.resolve()):
            raise DatasetError(f"{folder}: is a link that leads out of {destination}. Unpack there, or remove it.")


def _check_same(member: Member, target: Path, archive: Path) -> None:
    """Raise `DatasetError` unless the target is a file with the member's contents."""
    if not target.is_file() or target.stat().st_size != member.size:
        raise _differs(target, archive)
    if member.crc is None:
        same = _has_contents(target, member.chunks())
    else:
        crc = 0
        for chunk in _chunks_of(target):
            crc = zlib.crc32(chunk, crc)
        same = crc == member.crc
    if not same:
        raise _differs(target, archive)


def _end_of_chain(link: str, survey: _Survey, archive: Path) -> str:
    """Return the file that a link, or a link to a link, stands for."""
    target = link
    for _ in range(LONGEST_CHAIN):
        target = survey.links.get(target, target)
        if target in survey.sizes:
            return target
    raise DatasetError(
        f"{archive.name}: {link} links to {survey.links[link] or 'something'!r}, which is no file of the archive, so "
        "nothing is unpacked. Unpack it by hand if you trust it."
    )


@contextlib.contextmanager
def staging(destination: Path) -> Iterator[Path]:
    """Yield the path of the file that is being written, below `destination`; one process at a time may have it.

    Raises:
        DatasetError: another process has it.
    """
    folder = destination / STAGING
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield folder / "partial"
        finally:
            (folder / "partial").unlink(missing_ok=True)
            folder.rmdir()
    except BlockingIOError as error:
        raise DatasetError(f"{destination}: another process unpacks here. Wait until it is done.") from error
    finally:
        os.close(lock)


def _place(chunks: Iterable[bytes], partial: Path, target: Path, archive: Path) -> None:
    """Write a file at `partial`, then give it its place at `target`; whatever is there already is left as it is."""
    partial.unlink(missing_ok=True)  # maybe of an unpacking that was killed, and one with the file in its place
    with partial.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
    partial.chmod(0o644)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(partial, target)  # unlike a renaming, it never replaces
    except OSError:
        if os.path.lexists(target):
            raise _differs(target, archive) from None
        partial.rename(target)  # a file system without hard links


def _chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _has_contents(path: Path, chunks: Iterable[bytes]) -> bool:
    with path.open("rb") as file:
        return all(file.read(len(chunk)) == chunk for chunk in chunks) and not file.read(1)


def _differs(target: Path, archive: Path) -> DatasetError:
    return DatasetError(
        f"{target}: is there already and differs from what {archive.name} holds. Nothing is overwritten: move it away, "
        "or unpack into another folder."
    )
