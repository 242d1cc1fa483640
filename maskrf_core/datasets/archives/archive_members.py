"""Members of zip, tar, tar.gz, tar.bz2 and tar.xz archives, checked before any of them is written."""

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
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from maskrf_core.support.errors import DatasetError

TAR_STREAMS: dict[str, Callable[..., Any]] = {
    ".tar": open,
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tar.xz": lzma.open,
}
SUFFIXES = (".zip", *TAR_STREAMS)
ZIP_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of others a few hundred bytes can fill the memory
LARGEST_RATIO = 200  # unpacked to packed bytes; photographs and depth maps stay below 20, text below 50
ALWAYS_ALLOWED = 2**26  # bytes that may be unpacked whatever the ratio: small archives of empty maps are no attack
LARGEST_PIECE, CHUNK, HEADER_BYTES = 2**20, 2**18, 512  # of a header at most, of a piece, beside a member's contents
NAME_FAULTS = {
    "is absolute": r"/",
    "leads out of its folder": r"(.*/)?\.\.(/|$)",
    "has a backslash": r".*\\",
    "has a drive letter": r"(\.?/)*[A-Za-z]:",
    "has control signs": r".*[\x00-\x1f\x7f-\x9f]",
    "is not UTF-8": r".*[\ud800-\udfff]",
    "is empty": r"(\.?/)*\.?$",
    "is too long": r".{1001}",
}
DISTRUST = "so nothing is unpacked. Do not trust it; download it from its own source."
REMEDY = "Download it again; what is unpacked already is kept."
# Errors of the standard library on damaged archives; a `UnicodeDecodeError` is a `ValueError`.
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, IndexError)
Entry = tuple[tarfile.TarInfo, Callable[[], Any]]  # a member as tar would describe it, and a function that opens it


class Member(NamedTuple):
    """A file in an archive. `chunks()` yields its contents piece by piece, and raises `DatasetError` on damage."""

    path: str  # checked, relative, with /
    size: int  # bytes when unpacked, as declared
    link_to: str | None  # path of the member whose contents a link has
    chunks: Callable[[], Iterator[bytes]]


def archive_suffix(path: Path) -> str | None:
    """Return the ending by which an archive is known, None of what is no archive."""
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)


def opened_archive(path: Path) -> contextlib.AbstractContextManager[Iterator[Member]]:
    """Give the files of an archive, in its order, each checked as it comes; they can be read while it is open.

    Raises:
        DatasetError: no archive, damaged, encrypted, or a member that must not be unpacked; the member is named.
    """
    return contextlib.closing(_members(path))


def _members(archive: Path) -> Iterator[Member]:
    """Yield the files and links of an archive, bounded in sum and held against each other."""
    if not hasattr(tarfile, "data_filter"):
        raise DatasetError(f"{archive.name}: unpacking needs Python 3.10.12, 3.11.4 or newer. Update Python.")
    suffix = archive_suffix(archive)
    if suffix is None:
        raise DatasetError(f"{archive.name}: is no archive of a known kind ({', '.join(SUFFIXES)}).")
    total, paths = 0, {}  # folded path → whether it is a file
    with _damage_named(archive.name):
        for info, open_member in _zip_entries(archive) if suffix == ".zip" else _tar_entries(archive, suffix):
            if info.isdir():
                if info.name.strip("./"):
                    checked_path(info.name, archive.name)
                continue
            path, link_to = checked_path(info.name, archive.name), None
            if info.issym() or info.islnk():
                target = info.linkname
                if info.issym() and not target.startswith("/"):  # relative to the folder that the link is in
                    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
                link_to = checked_path(target, archive.name)
            if not info.isreg():  # a file's name is checked more strictly above, and twice as fast
                try:
                    tarfile.data_filter(info, "/unpacked")  # no devices, nothing that leads outside
                except tarfile.FilterError as error:
                    message = f"{archive.name}: its member {info.name} is not allowed ({error}), {DISTRUST}"
                    raise DatasetError(message) from error
            size = 0 if link_to else info.size
            if size < 0:
                raise EOFError(f"a member of {size} bytes")
            total += size + HEADER_BYTES
            check_unpacked_size(archive, total)
            _claim(paths, path, archive.name)
            yield Member(path, size, link_to, partial(_chunks, open_member, size, archive.name))


@contextlib.contextmanager
def _damage_named(archive: str) -> Iterator[None]:
    """Turn everything that damage makes the standard library raise into one `DatasetError` that names the archive."""
    try:
        yield
    except RuntimeError as error:  # zipfile's words for a password
        raise DatasetError(f"{archive}: {error}. Unpack it by other means.") from error
    except DAMAGE as error:
        raise DatasetError(f"{archive}: is cut off or damaged ({error}). {REMEDY}") from error


def _zip_entries(path: Path) -> Iterator[Entry]:
    kinds = {0: tarfile.REGTYPE, stat.S_IFREG: tarfile.REGTYPE, stat.S_IFLNK: tarfile.SYMTYPE}
    with zipfile.ZipFile(path) as file:
        for entry in file.infolist():
            if not entry.is_dir() and (entry.flag_bits & 1 or entry.compress_type not in ZIP_COMPRESSIONS):
                what = f"{entry.filename} is encrypted or unusually compressed"
                raise DatasetError(f"{path.name}: {what}. Unpack it by other means.")
            info = tarfile.TarInfo(entry.filename)
            info.size, kind = entry.file_size, stat.S_IFMT(entry.external_attr >> 16)
            info.type = tarfile.DIRTYPE if entry.is_dir() else kinds.get(kind, tarfile.CHRTYPE)
            if info.issym():
                with file.open(entry) as content:
                    info.linkname = content.read(4096).decode()
            yield info, partial(file.open, entry)


def _tar_entries(path: Path, suffix: str) -> Iterator[Entry]:
    with TAR_STREAMS[suffix](path, "rb") as opened:
        stream = _Stream(opened)
        with tarfile.open(fileobj=stream, mode="r:") as file:
            while (info := file.next()) is not None:
                file.members.clear()  # tarfile keeps all of them; a data set has a million
                yield info, partial(file.extractfile, info)
        # Whatever is no header ends a tar file for tarfile; its own end are zeros.
        if stream.last != bytes(tarfile.BLOCKSIZE):
            raise EOFError("its end is missing")
        behind = 0
        while piece := stream.read(LARGEST_PIECE):  # to the checksum: what bzip2 makes of damage may hold zeros too
            behind += len(piece)
            check_unpacked_size(path, behind)


def checked_path(name: str, archive: str) -> str:
    """Return a member's name as a relative path with /, without `.` parts; `DatasetError` for any of `NAME_FAULTS`."""
    fault = next((fault for fault, form in NAME_FAULTS.items() if re.match(form, name, re.DOTALL)), None)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if fault is None and max(len(part.encode()) for part in parts) > 255:
        fault = "is too long"
    if fault is not None:
        raise DatasetError(
            f"{archive}: the name of a member or of a link's target, {name[:200]!a}, {fault}, {DISTRUST}"
        )
    return "/".join(parts)


def check_unpacked_size(archive: Path, size: int) -> None:
    """Raise `DatasetError` if an archive would become more bytes than one of its own size may."""
    if size > max(ALWAYS_ALLOWED, LARGEST_RATIO * archive.stat().st_size):
        what = f"would unpack to more than {LARGEST_RATIO} times its size, which no data set does"
        raise DatasetError(f"{archive.name}: {what}, {DISTRUST}")


def _claim(paths: dict[str, bool], path: str, archive: str) -> None:
    """Note a file's path; raise `DatasetError` for two files in one place, or a file where another needs a folder."""
    folded = unicodedata.normalize("NFC", path).casefold()
    parents = [folded[:end] for end, sign in enumerate(folded) if sign == "/"]
    if folded in paths or any(paths.get(parent) for parent in parents):
        what = f"holds {path!r} twice, or as a file and as a folder (upper and lower case are the same here)"
        raise DatasetError(f"{archive}: {what}. Download it again, or unpack it by hand.")
    paths.update(dict.fromkeys(parents, False))
    paths[folded] = True


def _chunks(open_member: Callable[[], Any], size: int, archive: str) -> Iterator[bytes]:
    done = 0
    with _damage_named(archive), open_member() as content:
        while chunk := content.read(CHUNK):
            done += len(chunk)
            yield chunk
        if done != size:
            raise EOFError(f"a member of {size} bytes has {done}")


class _Stream:
    """A decompressed stream that refuses pieces larger than headers are: a declared size must not fill the memory."""

    def __init__(self, file: Any):
        self._file, self.last = file, b""
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, which `last` holds from then on."""
        if not 0 <= size <= LARGEST_PIECE:
            raise EOFError(f"a header of {size} bytes")
        self.last = self._file.read(size)
        return self.last
