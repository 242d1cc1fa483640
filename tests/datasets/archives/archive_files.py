"""Archives made to order: harmless ones, and ones that nobody should unpack."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

MODES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def write_zip(path: Path, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    """A zip of these members in their order, then symbolic links."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename, info.external_attr = name, (stat.S_IFREG | 0o777) << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return path


def write_tar(
    path: Path, files: Mapping[str, bytes], links: Mapping[str, str] | None = None, kind: bytes = tarfile.SYMTYPE
) -> Path:
    """A tar, compressed as its name says, of these members in their order, then links or devices of the `kind`."""
    with tarfile.open(path, MODES[next(suffix for suffix in MODES if path.name.endswith(suffix))]) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o4777
            archive.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    return path


def write_archive(path: Path, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    """A zip or tar, as its name says."""
    return write_zip(path, files, links) if path.suffix == ".zip" else write_tar(path, files, links)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
