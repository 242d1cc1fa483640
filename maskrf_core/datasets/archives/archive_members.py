"""What an archive lists, checked before any of it is written: zip, tar, tar.gz, tar.bz2 and tar.xz.

A member whose name or kind could lead outside of the folder it is unpacked into is an error, and so is an archive that
would unpack to far more than it weighs.
"""

import bz2
import contextlib
import gzip
import lzma
import posixpath
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from maskrf_core.support.errors import DatasetError

TAR_STREAMS: dict[str, Callable[..., BufferedIOBase]] = {
    ".tar": open,
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tar.xz": lzma.open,
}
SUFFIXES = (".zip", *TAR_STREAMS)
ZIP_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of others a few hundred bytes can fill the memory
LARGEST_RATIO = 200
"""Unpacked to packed bytes; photographs and depth maps stay below 20, text below 50."""
ALWAYS_ALLOWED = 2**26
"""Bytes that may be unpacked whatever the ratio: small archives of empty maps are no attack."""
LARGEST_HEADER = 2**20
"""Bytes read in one piece: names and headers are smaller, contents are read in smaller pieces."""
CHUNK = 2**18
LONGEST_PART, LONGEST_PATH = 255, 1000
"""Bytes of a file name, signs of a path below the folder that is unpacked into."""
HEADER_BYTES = 512
"""What a member counts beside its contents, so that empty ones are bounded too."""
DISTRUST = "Do not trust it; download it from its own source."
REMEDY = "Download it again; what is unpacked already is kept."
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, IndexError)
"""What the standard library raises on damaged archives; a `UnicodeDecodeError` is a `ValueError`."""


@dataclass(frozen=True)
class Member:
    """A file in an archive."""

    path: str
    """Relative, with /, checked."""
    size: int
    """Bytes when unpacked, as the archive declares."""
    crc: int | None
    """CRC-32 of the contents, where the archive says it."""
    link_to: str | None
    """Of a link: the path of the member whose contents it has."""
    chunks: Callable[[], Iterator[bytes]]
    """Its contents, piece by piece; `DatasetError` if they are damaged or not of the declared size."""


@contextlib.contextmanager
def _damage_is_an_error(archive: str) -> Iterator[None]:
    """Everything that damage makes the standard library raise, as one `DatasetError` that names the archive."""
    try:
        yield
    except RuntimeError as error:  # zipfile's words for an unknown compression or a password
        raise DatasetError(f"{archive}: {error}. Unpack it by other means.") from error
    except DAMAGE as error:
        raise DatasetError(f"{archive}: is cut off or damaged ({error}). {REMEDY}") from error


def archive_suffix(path: Path) -> str | None:
    """The ending by which an archive is known, None of what is no archive."""
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)


@contextlib.contextmanager
def opened_archive(path: Path) -> Iterator[Iterator[Member]]:
    """The files of an archive, in its order, each checked as it comes; they can be opened while the archive is open.

    Raises:
        DatasetError: no archive, damaged, encrypted, or a member that must not be unpacked; the member is named.
    """
    suffix = archive_suffix(path)
    if suffix is None:
        raise DatasetError(f"{path.name}: is no archive of a known kind ({', '.join(SUFFIXES)}).")
    with contextlib.ExitStack() as stack:
        with _damage_is_an_error(path.name):
            if suffix == ".zip":
                members = _zip_members(stack.enter_context(zipfile.ZipFile(path)), path.name)
            else:
                stream = _Stream(stack.enter_context(TAR_STREAMS[suffix](path, "rb")))
                members = _tar_members(stack.enter_context(tarfile.open(fileobj=stream, mode="r:")), stream, path.name)
        yield _checked(members, path)


def _checked(members: Iterator[Member], archive: Path) -> Iterator[Member]:
    """The same members, bounded in sum and held against each other."""
    allowed = largest_unpacked(archive)
    paths: dict[str, bool] = {}  # folded path → whether it is a file
    total = 0
    with _damage_is_an_error(archive.name):
        for member in members:
            total += member.size + HEADER_BYTES
            if member.size < 0 or total > allowed:
                raise too_large(archive)
            _claim(paths, member.path, archive)
            yield member


def largest_unpacked(archive: Path) -> int:
    """Bytes that an archive of this size may become."""
    return max(ALWAYS_ALLOWED, LARGEST_RATIO * archive.stat().st_size)


def too_large(archive: Path) -> DatasetError:
    """The error for one that would become more."""
    return DatasetError(
        f"{archive.name}: would unpack to more than {LARGEST_RATIO} times its size, which no data set does. {DISTRUST}"
    )


def _claim(paths: dict[str, bool], path: str, archive: Path) -> None:
    """Note a file's path; two files in one place, or a file where another needs a folder, are an error."""
    folded = unicodedata.normalize("NFC", path).casefold()
    parents = [folded[:end] for end, sign in enumerate(folded) if sign == "/"]
    if folded in paths or any(paths.get(parent) for parent in parents):
        raise DatasetError(
            f"{archive.name}: holds {path!r} twice, or as a file and as a folder (upper and lower case are the same "
            "here). Download it again, or unpack it by hand."
        )
    paths[folded] = True
    for parent in parents:
        paths.setdefault(parent, False)


def checked_path(name: str, archive: str) -> str:
    """A member's name as a relative path with /, without `.` parts.

    Raises:
        DatasetError: it is absolute, has `..`, a drive letter, a backslash, control signs or bytes that are no UTF-8,
            or a part that is too long for a file name.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    faults = {
        "is absolute": name.startswith("/"),
        "leads out of its folder": ".." in parts,
        "has a backslash": "\\" in name,
        "has a drive letter": re.match(r"[A-Za-z]:", parts[0] if parts else "") is not None,
        "has control signs": any(unicodedata.category(sign) == "Cc" for sign in name),
        "is not UTF-8": any(0xD800 <= ord(sign) <= 0xDFFF for sign in name),
        "is empty": not parts,
    }
    fault = next((fault for fault, is_so in faults.items() if is_so), None)
    if fault is None and (max(len(part.encode()) for part in parts) > LONGEST_PART or len(name) > LONGEST_PATH):
        fault = "is too long"
    if fault is not None:
        raise DatasetError(
            f"{archive}: the name of a member or of what it links to, {name[:200]!a}, {fault}, so nothing is unpacked. "
            f"{DISTRUST}"
        )
    return "/".join(parts)


def _link_target(path: str, target: str, archive: str, *, relative: bool) -> str:
    """The member that a link stands for; a symbolic link's target is relative to the folder that it is in."""
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if relative else target
    return checked_path(target if target.startswith("/") else joined, archive)


def _zip_members(file: zipfile.ZipFile, archive: str) -> Iterator[Member]:
    for info in file.infolist():
        if info.is_dir():
            if info.filename.strip("./"):
                checked_path(info.filename, archive)
            continue
        path, kind, link_to = checked_path(info.filename, archive), stat.S_IFMT(info.external_attr >> 16), None
        if info.flag_bits & 1 or info.compress_type not in ZIP_COMPRESSIONS:
            raise DatasetError(f"{archive}: {path} is encrypted or unusually compressed. Unpack it by other means.")
        if kind == stat.S_IFLNK:
            with file.open(info) as content:
                link_to = _link_target(path, content.read(4096).decode("utf-8"), archive, relative=True)
        elif kind not in (0, stat.S_IFREG):
            raise _no_file(archive, path)
        size = 0 if link_to else info.file_size
        yield Member(path, size, info.CRC, link_to, partial(_chunks, file.open, info, size, archive))


def _tar_members(file: tarfile.TarFile, stream: "_Stream", archive: str) -> Iterator[Member]:
    while (info := file.next()) is not None:
        file.members.clear()  # tarfile keeps all of them; a data set has a million
        if info.isdir():
            if info.name.strip("./"):
                checked_path(info.name, archive)
            continue
        path, link_to = checked_path(info.name, archive), None
        if info.issym() or info.islnk():
            link_to = _link_target(path, info.linkname, archive, relative=info.issym())
        elif not info.isreg():
            raise _no_file(archive, path)
        size = 0 if link_to else info.size
        yield Member(path, size, None, link_to, partial(_chunks, file.extractfile, info, size, archive))
    # Whatever is no header ends a tar file for tarfile; its own end are zeros.
    if stream.last != bytes(tarfile.BLOCKSIZE):
        raise EOFError("its end is missing")
    stream.read(LARGEST_HEADER)  # to the checksum behind the padding


def _chunks(open_member: Callable, info: Any, size: int, archive: str) -> Iterator[bytes]:
    done = 0
    with _damage_is_an_error(archive), open_member(info) as content:
        while chunk := content.read(CHUNK):
            done += len(chunk)
            if done > size:
                break
            yield chunk
        if done != size:
            raise EOFError(f"a member of {size} bytes has {'more' if done > size else done}")


def _no_file(archive: str, path: str) -> DatasetError:
    return DatasetError(
        f"{archive}: its member {path} is neither file, folder nor link, so nothing is unpacked. {DISTRUST}"
    )


class _Stream:
    """A decompressed stream that hands out no piece larger than headers and chunks are: a declared size is no reason
    to fill the memory."""

    def __init__(self, file: BufferedIOBase):
        self._file = file
        self.last = b""
        """What was read last."""
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        """As of any binary file."""
        if not 0 <= size <= LARGEST_HEADER:
            raise EOFError(f"a header of {size} bytes")
        self.last = self._file.read(size)
        return self.last
