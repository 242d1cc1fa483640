"""Paths of the checkout, of runs and of caches, whatever folder a notebook or command is started from."""

import errno
import os
import stat
from pathlib import Path

from maskrf_core.support.errors import DatasetError, SettingsError

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: what relative paths are sought in if they are not below the current folder."""
RUNS = ROOT / "runs"
_told: set[Path] = set()  # cache folders of which this process has said that it keeps what it makes elsewhere


def resolve(path: str | Path) -> Path:
    """Return a path as it exists from the current folder, or else as meant from the root of the checkout."""
    path = Path(path).expanduser()
    return path if path.is_absolute() or path.exists() else ROOT / path


def display_path(path: str | Path) -> str:
    """Return a path for messages: relative to the checkout where it is inside."""
    path = Path(path).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def users_cache() -> Path:
    """Return the folder of what this user alone keeps, there or not: below XDG_CACHE_HOME, or else ~/.cache."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return Path(given if os.path.isabs(given) else os.path.expanduser("~/.cache")) / "maskrf"  # noqa: PTH111, PTH117


def private_folder(name: str) -> Path:
    """Make a folder in the user's cache that nobody else can enter, and return it.

    Raises:
        SettingsError: it cannot be made, or is another user's.
    """
    folder = users_cache() / name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (owner := folder.stat().st_uid) != os.geteuid():
            raise PermissionError(errno.EPERM, f"it belongs to the user of number {owner}")
        folder.chmod(0o700)
    except OSError as error:
        raise SettingsError(
            f"{folder}: cannot be had as a folder of one's own ({error.strerror}). Remove it, or set XDG_CACHE_HOME to "
            "a folder that is yours."
        ) from error
    return folder


def cache_folder(data_root: str | Path) -> Path:
    """Return `<data root>/cache`, or `runs/cache` where the data root is missing. It may be another user's.

    So what is in it is found by `kept_path`, and written to a `writable_path`.

    Raises:
        DatasetError: something else than a folder has that name.
    """
    root = Path(data_root)
    folder = (root if root.is_dir() else RUNS) / "cache"
    if os.path.lexists(folder) and not folder.is_dir():
        raise DatasetError(f"{folder}: is no folder, but what is made from the data is kept there. Move it away.")
    return folder


def writable_path(cache: Path, *below: str) -> Path:
    """Return where a file or folder below a cache folder can be made, there or not: in it, where this user may write.

    Else it is below `runs/cache` or, where that cannot be written either, below the user's own cache folder, which is
    said once. Names in a cache tell contents, so what is of several data roots may be together.
    """
    places = _places(cache)
    found = next((place for place in places if may_write(place.joinpath(*below).parent)), places[-1])
    if found != places[0] and cache not in _told:
        _told.add(cache)
        print(f"{cache}: cannot be written by this user, so what is made is kept in {found}", flush=True)
    return found.joinpath(*below)


def kept_path(cache: Path, *below: str) -> Path:
    """Return where a file or folder below a cache folder is kept that this user may read; where none is, in the cache.

    What a user has made comes before what others have: theirs may be damaged.
    """
    found = [place.joinpath(*below) for place in _places(cache)]
    if may_write(found[0].parent):
        return found[0]
    return next((path for path in [*found[1:], found[0]] if os.access(path, os.R_OK)), found[0])


def kept_beside(cache: Path, below: str, pattern: str) -> list[Path]:
    """List what is kept under names of a pattern in a folder below a cache folder, or below the user's own, too."""
    places = _places(cache)
    return [
        path for place in places[: 1 if may_write(cache / below) else None] for path in (place / below).glob(pattern)
    ]


def may_write(folder: Path) -> bool:
    """Tell whether this user may make files in a folder, which need not be there yet.

    A folder that nobody is allowed to write to counts as such for root, too.
    """
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    return bool(folder.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))


def _places(cache: Path) -> list[Path]:
    return [cache, RUNS / "cache", users_cache() / "data"]
