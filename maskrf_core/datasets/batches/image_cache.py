"""The memory that decoded images are kept in."""

import mmap
from collections.abc import Callable, Hashable
from operator import attrgetter

import numpy as np
from cachetools import LRUCache
from jaxtyping import Shaped

MAPPED_FROM = 2**18  # bytes; the system allows tens of thousands of mappings, so that small arrays stay in the heap


class ImageCache:
    """Keep what was read last, up to `mib` MiB; what is larger than that alone is read each time.

    The arrays are handed out again and again, so they are made read-only.
    """

    def __init__(self, mib: float = 1024.0):
        self._arrays = LRUCache(max(1, int(mib * 2**20)), getsizeof=attrgetter("nbytes"))

    def get(self, key: Hashable, read: Callable[[], Shaped[np.ndarray, "..."]]) -> Shaped[np.ndarray, "..."]:
        """Return the array of that key: kept, or read now."""
        array = self._arrays.get(key)
        if array is None:
            array = _copied(read())
            array.flags.writeable = False
            if array.nbytes <= self._arrays.maxsize:
                self._arrays[key] = array
        return array

    @property
    def bytes(self) -> int:
        """Return how much is kept now."""
        return self._arrays.currsize


def _copied(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Copy, so that what the array was cut from is not held; in memory of its own if it is large.

    That goes back to the system as a whole. In the heap, among what comes and goes with every batch, cached arrays
    leave gaps when they go: with what the Makefile asks of malloc a data worker grew by 350 MiB in 1,000 batches.
    """
    if array.nbytes < MAPPED_FROM:
        return np.array(array)
    copy = np.frombuffer(mmap.mmap(-1, array.nbytes), array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
