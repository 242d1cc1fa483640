"""Renderings on disk by key, so that what was rendered once is read: `<cache folder>/renders/<key[:2]>/<key>.npz`.

A key says everything that a rendering depends on (`render_keys`), so nothing here ever becomes out of date; it is only
no longer asked for, and goes when the room is needed. The folder may be deleted at any time.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.digests import digest
from maskrf_core.support.paths import cache_folder

CHECKSUM = "checksum"
KEPT_SHARE = 0.9
"""Of the room, when it was exceeded: so that not every rendering after that looks through the folder again."""


class RenderCache:
    """Arrays by key in files below `folder`, up to `mib` MiB in all; the oldest use goes first.

    Several processes may share a folder. A folder that cannot be written to, or a full disk, costs a message and the
    keeping, never the rendering.
    """

    def __init__(self, folder: Path, mib: float | int):
        self.folder = folder
        self.limit = int(mib * 2**20)
        self._held: int | None = None
        self._silent = False

    def path(self, key: str) -> Path:
        """Where the arrays of a key are kept."""
        return self.folder / key[:2] / f"{key}.npz"

    def get(self, key: str) -> dict[str, Float32[np.ndarray, "..."]] | None:
        """The arrays that were kept under a key, exactly; None where there are none or the file is damaged."""
        path = self.path(key)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
        except Exception:  # damage shows as one of a dozen kinds, of zip, of numpy and of the system
            return None
        checksum = arrays.pop(CHECKSUM, np.zeros(0))
        if checksum.tobytes() != _checksum(key, arrays).tobytes():
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # its last use
        return arrays

    def put(self, key: str, arrays: Mapping[str, Float32[np.ndarray, "..."]]) -> None:
        """Keep arrays under a key, and throw away what was not used for longest where the room is exceeded."""
        if sum(array.nbytes for array in arrays.values()) > self.limit:
            return
        try:
            checked = {**arrays, CHECKSUM: _checksum(key, arrays)}
            write_atomically(self.path(key), lambda file: np.savez(file, **checked))
            size = self.path(key).stat().st_size
            self._held = self._prune(self.limit) if self._held is None else self._held + size
            if self._held > self.limit:
                self._held = self._prune(int(KEPT_SHARE * self.limit))
        except OSError as error:
            if not self._silent:
                print(f"renderings are not kept: {error}", flush=True)
            self._silent = True

    def _prune(self, limit: int) -> int:
        """Remove what was not used for longest until the rest is within `limit` bytes; the bytes of the rest."""
        found = []
        for path in self.folder.glob("*/*"):  # also what an interrupted writer left
            with contextlib.suppress(FileNotFoundError):  # another process prunes too
                state = path.stat()
                found.append((state.st_mtime_ns, state.st_size, path))
        held = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if held <= limit:
                break
            path.unlink(missing_ok=True)
            held -= size
        return held


def open_render_cache(data_root: str | Path, mib: int) -> RenderCache | None:
    """The cache that belongs to a data root; None where it has no room.

    Raises:
        DatasetError: as `cache_folder`.
    """
    return RenderCache(cache_folder(data_root) / "renders", mib) if mib > 0 else None


def _checksum(key: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Of the arrays, their names and the key, as bytes: a file under another name holds another picture."""
    return np.frombuffer(bytes.fromhex(digest([key, dict(arrays)])), np.uint8)
