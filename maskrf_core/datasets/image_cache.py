"""Decoded images, masks and depth maps in memory, all scenes together, bounded by bytes."""

from collections.abc import Callable, Hashable

import numpy as np
from cachetools import LRUCache
from jaxtyping import Shaped

DEFAULT_MIB = 1024.0


class ImageCache:
    """Keeps what was read last, up to `mib` MiB; what is larger than that alone is read each time.

    The arrays are handed out again and again, so they are made read-only.
    """

    def __init__(self, mib: float = DEFAULT_MIB):
        self._arrays = LRUCache(max(1, int(mib * 2**20)), getsizeof=_bytes)

    def get(self, key: Hashable, read: Callable[[], Shaped[np.ndarray, "..."]]) -> Shaped[np.ndarray, "..."]:
        """The array of that key: kept, or read now."""
        array = self._arrays.get(key)
        if array is None:
            array = np.array(read())  # a copy: what it was cut from is not held
            array.flags.writeable = False
            if array.nbytes <= self._arrays.maxsize:
                self._arrays[key] = array
        return array

    @property
    def bytes(self) -> int:
        """How much is kept now."""
        return self._arrays.currsize


def _bytes(array: np.ndarray) -> int:  # with a name, so that a cache can be sent to another process
    return array.nbytes
