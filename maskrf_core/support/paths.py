"""Paths of the checkout, of runs and of the cache, whatever folder a notebook or command is started from."""

import os
import stat
from pathlib import Path

from maskrf_core.support.errors import DatasetError

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: what relative paths are sought in if they are not below the current folder."""
RUNS = ROOT / "runs"


def resolve(path: str | Path) -> Path:
    """Return a path as it exists from the current folder, or else as meant from the root of the checkout."""
    path = Path(path).expanduser()
    return path if path.is_absolute() or path.exists() else ROOT / path


def display_path(path: str | Path) -> str:
    """Return a path for messages: relative to the checkout where it is inside."""
    path = Path(path).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def cache_folder(data_root: str | Path) -> Path:
    """Return `<data root>/cache`, or `runs/cache` where the data root is missing or nobody may write into it.

    Raises:
        DatasetError: something else than a folder has that name.
    """
    root = Path(data_root)
    anyone_writes = root.is_dir() and root.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    folder = root / "cache" if anyone_writes and os.access(root, os.W_OK) else RUNS / "cache"
    if os.path.lexists(folder) and not folder.is_dir():
        raise DatasetError(f"{folder}: is no folder, but what is made from the data is kept there. Move it away.")
    return folder
