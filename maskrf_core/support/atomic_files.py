"""Files and folders made so that a reader sees the old one or the new one, never half of one."""

import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO


def write_atomically(
    path: Path,
    write: Callable[[BinaryIO], None],
    *,
    check: Callable[[Path], object] = lambda _: None,
    keep: Path | None = None,
    durable: bool = True,
) -> None:
    """Write a file beside `path` by calling `write`, then rename it into place; on failure nothing is left behind.

    `check` reads the new file before it takes the place, and raises if it is not good. The old one is kept as `keep`;
    at every moment at least one of them is there. What is not `durable` may be lost with the power, and is cheap.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = beside_name(path)
    try:
        with beside.open("xb") as file:  # with the permissions that the umask leaves, unlike by tempfile
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        check(beside)
        if keep is not None and path.exists():
            _link(path, keep)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):  # what went wrong before is what to say
            beside.unlink(missing_ok=True)
        raise


@contextmanager
def made_beside(folder: Path, is_whole: Callable[[Path], bool] = Path.is_dir) -> Iterator[Path]:
    """Yield a new folder to fill, which then is renamed to `folder`; on failure nothing is left behind.

    Where another process was faster, and what it made `is_whole`, that stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = beside_name(folder)
    beside.mkdir()
    try:
        yield beside
        try:
            beside.rename(folder)
        except OSError:
            if not is_whole(folder):
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def beside_name(path: Path) -> Path:
    """Return a new hidden name beside `path`, as `remove_leftovers` knows it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def remove_leftovers(*paths: Path) -> None:
    """Remove what writers that were killed left beside these files; nothing else, whoever's it is, and no folder."""
    for path in paths:
        written = re.compile(rf"\.{re.escape(path.name)}\.([a-z0-9_]{{8}}|link)")
        for beside in path.parent.glob(".*"):
            if written.fullmatch(beside.name) and beside.is_file() and not beside.is_symlink():
                with suppress(OSError):  # as those that others may not remove; the next start tries again
                    beside.unlink()


def _link(path: Path, name: Path) -> None:
    """Give a file a second name, replacing what had that name; copy it where the file system has no links."""
    beside = name.with_name(f".{name.name}.link")
    beside.unlink(missing_ok=True)
    try:
        beside.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, beside)
    beside.replace(name)


def file_time(folder: Path) -> float:
    """Return the time by the clock that stamps a folder's files, in seconds since 1970: it may be another machine's."""
    with suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime
    return time.time()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented for readers."""
    write_text(path, json.dumps(value, indent=2) + "\n")
