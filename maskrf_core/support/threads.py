"""Computing on the cores of a CPU: all of them for one operation after the other, or each for something of its own."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")
MapFunction = Callable[[Callable[[Item], Result], Iterable[Item]], Iterator[Result]]
"""Calls a function for every item, as `map` does."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let each operation on a CPU run on one thread, here and in threads that are started in here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def map_in_threads(
    compute: Callable[[Item], Result], items: Iterable[Item], *, threads: int, first_alone: bool = False
) -> Iterator[Result]:
    """Map `compute` over items, in order, by so many threads with one core each; `first_alone` before all others.

    What takes milliseconds is faster so than by operations that are divided among the cores: those wait for each other
    after every one. At most twice as many items as there are threads are computed ahead of what was asked for. Until
    the iterator is exhausted or closed, whoever asks has one thread too.
    """
    begun: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    with one_thread():
        try:
            for number, item in enumerate(items):
                begun.append(pool.submit(compute, item))
                if len(begun) == 2 * threads or (first_alone and number == 0):
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
