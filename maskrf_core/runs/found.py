"""Finding run folders: what is below a folder, by looking."""

import os
from collections.abc import Iterator
from pathlib import Path

CONFIG_FILE = "config.yaml"
PARTS_OF_RUNS = ("checkpoints", "tensorboard", "renders", "figures")
"""Folders in a run folder that hold no runs, but many files."""
CACHE = "cache"
"""Beside the run folders: estimated depth and renderings, many files as well."""


def run_folders(root: Path) -> Iterator[Path]:
    """Every run folder in or below `root`, by name; none where `root` is missing.

    Folders that are linked to are looked into, once each. What cannot be read is passed over.
    """
    return (folder for folder in folders_below(root) if (folder / CONFIG_FILE).is_file())


def folders_below(root: Path) -> Iterator[Path]:
    """`root` and the folders below it in which runs and results can be, by name."""
    seen = set()
    for place, below, _ in os.walk(root, followlinks=True):
        below.sort()
        real = os.path.realpath(place)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = [name for name in below if not name.startswith(".") and name not in (*PARTS_OF_RUNS, CACHE)]
        yield Path(place)
