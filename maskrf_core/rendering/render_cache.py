"""Renderings kept on disk by the hash of everything that their pixels depend on, so that nothing is rendered twice.

A key says too much rather than too little: the weights, the settings, the code, the device, and every tensor of the
batch. So nothing kept ever becomes out of date; it is only no longer asked for, and goes when the room is needed.
"""

import io
import os
import platform
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
import torch
from jaxtyping import Float32

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import RenderingSettings
from maskrf_core.support.digests import digest
from maskrf_core.support.paths import writable_path

PACKAGE = Path(__file__).resolve().parents[1]
RENDERING_SOURCES = (
    "model/**/*.py",
    "model/fast/native/*",
    "cameras.py",
    "rendering/chunk_renderer.py",
    "rendering/rendered_views.py",
    "rendering/render_cache.py",
    "support/machine.py",
)
OUR_MODULES = ("maskrf_core.model.", "torch.nn.")  # networks from elsewhere have code that no digest here knows
CHECKSUM = 64  # bytes before each entry's own
STORE_OPTIONS: dict[str, Any] = {
    "eviction_policy": "least-recently-used",
    "cull_limit": 2,
    "sqlite_journal_mode": "delete",
    "sqlite_mmap_size": 0,
    "timeout": 20,
}
"""Of diskcache. Its own journal (`wal`) needs memory that processes share, which network file systems do not have."""


def source_digest() -> str:
    """Return the digest of the source files that decide how pixels are rendered, as they are on disk now."""
    files = sorted(path for pattern in RENDERING_SOURCES for path in PACKAGE.glob(pattern))
    return digest({path.relative_to(PACKAGE).as_posix(): path.read_bytes() for path in files})


SOURCES_AS_IMPORTED = source_digest()


def renderer_digest(renderer: Renderer) -> str:
    """Return the digest of everything of a rendering but the batch: weights, settings, networks, code and device.

    Where the code that runs is not certain (its files changed since they were imported, or a network is defined
    elsewhere) it is another one each time, so that nothing is taken for the same.
    """
    tensors = dict(renderer.state_dict()) | dict(renderer.named_buffers())
    known = all(type(module).__module__.startswith(OUR_MODULES) for module in renderer.modules())
    return digest(
        {
            "weights": {name: tensors[name] for name in sorted(tensors)},
            "settings": renderer.settings,
            "networks": repr(renderer),
            "training": renderer.training,
            "sources": SOURCES_AS_IMPORTED,
            "torch": torch.__version__,
            "device": _device(next(renderer.parameters()).device),
            "uncertain": None if known and source_digest() == SOURCES_AS_IMPORTED else secrets.token_hex(),
        }
    )


def render_key(of_renderer: str, batch: SceneBatch, rays_per_chunk: int, rendering: RenderingSettings) -> str:
    """Return the key of one rendering: equal keys mean equal pixels, bit for bit.

    The size of the chunks counts, because it changes rounding.
    """
    return digest({"renderer": of_renderer, "batch": batch, "rays_per_chunk": rays_per_chunk, "rendering": rendering})


def _device(device: torch.device) -> list[Any]:
    """List what of a device decides how numbers are rounded."""
    precision = [torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()]
    if device.type == "cuda":
        cudnn = torch.backends.cudnn
        return ["cuda", torch.cuda.get_device_name(device), torch.version.cuda, cudnn.version(), *precision,
                cudnn.benchmark]  # fmt: skip
    processor = [platform.machine(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()]
    return [device.type, *processor, *precision]


def renders_folder(cache: Path) -> Path:
    """Return the folder of this user's renderings below a cache folder: all its files are changed all the time."""
    shared = cache / "renders"
    other = shared.is_dir() and shared.stat().st_uid != os.geteuid()
    return writable_path(cache, f"renders_of_{os.geteuid()}" if other else shared.name, "cache.db").parent


class _BytesDisk(diskcache.Disk):
    """A store of bytes alone: diskcache would also unpickle, and so run what a foreign file says."""

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        if mode not in (diskcache.core.MODE_RAW, diskcache.core.MODE_BINARY):
            raise ValueError(f"an entry of mode {mode} was not written here")
        return super().fetch(mode, filename, value, read)


class RenderCache:
    """Arrays by key in a folder, up to `mib` MiB in all; those that were not used for longest go first.

    Several processes may share a folder, and it may be deleted while none uses it. A folder that is damaged or cannot
    be written to costs a message and the keeping, never the rendering.
    """

    def __init__(self, folder: Path, mib: float | int):
        self.folder, self.limit = folder, int(mib * 2**20)
        self._given_up = False

    def get(self, key: str) -> dict[str, Float32[np.ndarray, "..."]] | None:
        """Return the arrays that were kept under a key, exactly; None where there are none or they are damaged."""
        packed = self._tried(lambda store: store.get(key))
        if packed is None:
            return None
        if not isinstance(packed, bytes) or packed[:CHECKSUM] != _checksum(key, packed[CHECKSUM:]):
            print(f"{self.folder}: a rendering kept there is damaged, and is made again", flush=True)
            return None
        with np.load(io.BytesIO(packed[CHECKSUM:]), allow_pickle=False) as file:
            return dict(file)

    def put(self, key: str, arrays: Mapping[str, Float32[np.ndarray, "..."]]) -> None:
        """Keep arrays under a key, and throw away what was not used for longest where the room is exceeded."""
        self._tried(lambda store: self._put(store, key, arrays))

    def _put(self, store: diskcache.Cache, key: str, arrays: Mapping[str, Float32[np.ndarray, "..."]]) -> None:
        file = io.BytesIO()
        np.savez(file, **arrays)  # where memory runs out, that costs the keeping too
        packed = _checksum(key, file.getvalue()) + file.getvalue()
        if len(packed) <= self.limit:
            store.set(key, packed)
            store.cull()

    def _tried(self, use: Callable[[diskcache.Cache], Any]) -> Any:
        """Return what `use` makes of the store; after a failure, say so and keep nothing any more."""
        try:
            return None if self._given_up else use(self._store)
        except Exception as error:  # damage shows as one of a dozen kinds, of SQLite, diskcache and the system
            print(f"{self.folder}: renderings are not kept ({error}). Delete that folder if this lasts.", flush=True)
            self._given_up = True
            return None

    @cached_property
    def _store(self) -> diskcache.Cache:
        make = partial(diskcache.Cache, str(self.folder), disk=_BytesDisk, size_limit=self.limit, **STORE_OPTIONS)
        for _ in range(20):  # while another process makes it, SQLite does not wait
            with suppress(sqlite3.OperationalError):
                return make()
            time.sleep(0.1)
        return make()


def _checksum(key: str, data: bytes) -> bytes:
    return digest([key, data]).encode()
