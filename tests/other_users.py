"""A folder as it is to a user who may read and not write it, and where this user's own caches are meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def of_another_user(folder: Path, own: Path) -> Iterator[Path]:
    """Take the right to write from a folder and all below it; yield the user's own cache, which is below `own`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(own))
        patch.setattr("maskrf_core.support.paths.RUNS", own / "runs")
        folders = [path for path in (folder, *folder.rglob("*")) if path.is_dir()]
        for path in folders:
            path.chmod(0o555)
        try:
            yield own / "runs" / "cache"
        finally:
            for path in folders:
                path.chmod(0o755)
