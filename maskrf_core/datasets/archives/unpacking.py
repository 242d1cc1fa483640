"""Unpacking downloaded archives: checked as a whole first, never over a file that is there, and resumable."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from maskrf_core.datasets.archives.archive_members import (
    REMEDY,
    Member,
    checked_path,
    largest_unpacked,
    opened_archive,
    too_large,
)
from maskrf_core.datasets.archives.placing import STAGING, chunks_of, crc_of, has_contents, place, staging
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.progress import ByteProgress

LEFT_OUT = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
"""What systems add to archives by themselves."""
LONGEST_CHAIN = 40
"""Links to links that are followed."""


@dataclass
class Unpacked:
    """What became of an archive's files."""

    written: int = 0
    already_there: int = 0
    left_out: int = 0
    """Not below `strip`, or added by a system for itself."""


@dataclass
class _Survey:
    """What there is to do, found out before anything is written."""

    sizes: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)
    left_out: int = 0


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
        _check_sizes(archive, destination, survey)
        return _written(archive, destination, strip, survey)
    except OSError as error:
        raise DatasetError(
            f"{archive.name}: cannot be unpacked into {destination}: {error.strerror or error} "
            f"({error.filename or destination}). Make room or get the right to write there; then call it again."
        ) from error


def _surveyed(archive: Path, destination: Path, strip: str) -> _Survey:
    survey, free_parents = _Survey(), set()
    with _read(archive, None, f"checking {archive.name}", strip, survey) as members:
        for member, relative in members:
            _check_parents(destination, relative, free_parents)
            if member.link_to is not None:
                survey.links[relative] = _below(member.link_to, strip) or ""
                continue
            survey.sizes[relative] = member.size
            if _is_there(member, destination / relative, archive):
                survey.there.add(relative)
    if not survey.sizes:
        raise DatasetError(f"{archive.name}: holds no files{f' below {strip}' if strip else ''}. {REMEDY}")
    for relative in survey.links:
        survey.links[relative] = _end_of_chain(relative, survey, archive)
    return survey


def _check_sizes(archive: Path, destination: Path, survey: _Survey) -> None:
    """Whether what is left to do fits the disk, and links do not multiply what the archive holds."""
    copies = sum(survey.sizes[target] for target in survey.links.values())
    if sum(survey.sizes.values()) + copies > largest_unpacked(archive):
        raise too_large(archive)
    needed = copies + sum(size for path, size in survey.sizes.items() if path not in survey.there)
    existing = next(folder for folder in [destination, *destination.absolute().parents] if folder.is_dir())
    if needed > (free := shutil.disk_usage(existing).free):
        raise DatasetError(
            f"{archive.name}: unpacking takes {needed / 1e9:.2f} GB, but {existing} has {free / 1e9:.2f} GB left. "
            "Make room, or give another data root."
        )


def _written(archive: Path, destination: Path, strip: str, survey: _Survey) -> Unpacked:
    """Write what is not there yet: files in the archive's order, then the copies that links become."""
    result = Unpacked(already_there=len(survey.there), left_out=survey.left_out)
    needed = sum(size for path, size in survey.sizes.items() if path not in survey.there)
    with staging(destination) as partial:
        with _read(archive, needed, f"unpacking {archive.name}", strip, _Survey()) as members:
            for member, relative in members:
                if member.link_to is None and relative not in survey.there:
                    _place(member.chunks(), partial, destination / relative, archive)
                    result.written += 1
        for relative, source in survey.links.items():
            target = destination / relative
            if not os.path.lexists(target):
                _place(chunks_of(destination / source), partial, target, archive)
                result.written += 1
            elif target.is_file() and has_contents(target, chunks_of(destination / source)):
                result.already_there += 1
            else:
                raise _differs(target, archive)
    return result


@contextlib.contextmanager
def _read(
    archive: Path, total: int | None, title: str, strip: str, survey: _Survey
) -> Iterator[Iterator[tuple[Member, str]]]:
    """The members below `strip` with their paths below it, and a bar that moves with each; others are counted."""
    progress = ByteProgress(total, title)

    def below() -> Iterator[tuple[Member, str]]:
        for member in members:
            relative = _below(member.path, strip)
            if relative is None or set(relative.split("/")) & set(LEFT_OUT):
                survey.left_out += 1
                continue
            yield member, relative
            progress.advance(member.size)

    try:
        with opened_archive(archive) as members:
            yield below()
    finally:
        progress.close()


def _below(path: str, strip: str) -> str | None:
    prefix = f"{checked_path(strip, 'strip')}/" if strip else ""
    return path[len(prefix) :] if path.startswith(prefix) else None


def _check_parents(destination: Path, relative: str, known: set[str]) -> None:
    """No folder on the way may be a file, or a link that leads out of the destination."""
    parts = relative.split("/")
    if parts[0] == STAGING:
        raise DatasetError(f"{relative}: the name {STAGING} is needed for unpacking itself. Unpack it by hand.")
    for end in range(1, len(parts)):
        parent = "/".join(parts[:end])
        if parent in known:
            continue
        known.add(parent)
        folder = destination / parent
        if os.path.lexists(folder) and not folder.is_dir():
            raise DatasetError(f"{folder}: a folder has to be there, but it is a file. Move it away.")
        if folder.is_symlink() and not folder.resolve().is_relative_to(destination.resolve()):
            raise DatasetError(f"{folder}: is a link that leads out of {destination}. Unpack there, or remove it.")


def _is_there(member: Member, target: Path, archive: Path) -> bool:
    """Whether the file is there with the same contents.

    Raises:
        DatasetError: something else is there.
    """
    if not os.path.lexists(target):
        return False
    if not target.is_file() or target.stat().st_size != member.size:
        raise _differs(target, archive)
    same = has_contents(target, member.chunks()) if member.crc is None else crc_of(target) == member.crc
    if not same:
        raise _differs(target, archive)
    return True


def _place(chunks: Iterator[bytes], partial: Path, target: Path, archive: Path) -> None:
    try:
        place(chunks, partial, target)
    except FileExistsError:
        raise _differs(target, archive) from None


def _differs(target: Path, archive: Path) -> DatasetError:
    return DatasetError(
        f"{target}: is there already and differs from what {archive.name} holds. Nothing is overwritten: move it away, "
        "or unpack into another folder."
    )


def _end_of_chain(link: str, survey: _Survey, archive: Path) -> str:
    """The file that a link, or a link to a link, stands for."""
    target = link
    for _ in range(LONGEST_CHAIN):
        target = survey.links.get(target, target)
        if target in survey.sizes:
            return target
    raise DatasetError(
        f"{archive.name}: {link} links to {survey.links[link] or 'something'!r}, which is no file of the archive, so "
        "nothing is unpacked. Unpack it by hand if you trust it."
    )
