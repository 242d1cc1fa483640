"""Computing on the cores of a CPU: all of them for one operation after the other, or each for something of its own."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")
Mapped = Callable[[Callable[[Item], Result], Iterable[Item]], Iterator[Result]]
"""What calls a function for every item, as `map` does."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let each operation on a CPU run on one thread, here and in threads that are started in here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def map_in_threads(compute: Callable[[Item], Result], items: Iterable[Item], *, threads: int) -> Iterator[Result]:
    """`map(compute, items)`, in order, computed by so many threads with one core each.

    What takes milliseconds is faster so than by operations that are divided among the cores: those wait for each other
    after every one. Results may lie ready before they are asked for; nothing more is begun after an error, or when the
    iterator is closed.
    """
    begun = {"initializer": torch.set_num_threads, "initargs": (1,)}  # torch keeps the number for each thread
    with one_thread(), ThreadPoolExecutor(threads, **begun) as pool:
        yield from pool.map(compute, items)
