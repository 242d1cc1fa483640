"""What is shown while something long runs: a bar if a person watches, one line an interval if not."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm
from tqdm.notebook import tqdm as tqdm_notebook

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 20


def in_watched_notebook() -> bool:
    """A kernel that a Jupyter server started for a person; papermill and nbval start theirs without a session."""
    return "ipykernel" in sys.modules and "JPY_SESSION_NAME" in os.environ


def someone_watches() -> bool:
    """A terminal or an open notebook: somewhere a bar can move."""
    return in_watched_notebook() or sys.stderr.isatty()


class Progress:
    """A bar of `total` steps if someone watches; else `line` prints, and `advance` does nothing."""

    def __init__(self, total: int, done: int, title: str):
        self._bar = None
        if someone_watches():
            kind = tqdm_notebook if in_watched_notebook() else tqdm
            self._bar = kind(total=total, initial=done, desc=title, unit="step")

    def advance(self, steps: int = 1) -> None:
        """So many steps more are done."""
        if self._bar is not None:
            self._bar.update(steps)

    def line(self, text: str) -> None:
        """Say something: above the bar where there is one."""
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.write(text)

    def close(self) -> None:
        """No more steps."""
        if self._bar is not None:
            self._bar.close()


def tracked(items: Iterable[Item], *, total: int, title: str) -> Iterator[Item]:
    """Iterate with a bar if someone watches, else with a line every few seconds."""
    if someone_watches():
        kind = tqdm_notebook if in_watched_notebook() else tqdm
        yield from kind(items, total=total, desc=title, leave=False)
        return
    said = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - said > SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            print(f"{title}: {done} of {total}", flush=True)
        yield item


class ByteProgress:
    """How many of `total` bytes (None: unknown) are done: a bar if someone watches, else a line every few seconds."""

    def __init__(self, total: int | None, title: str):
        self._title, self._total, self._done, self._said, self._bar = title, total, 0, time.monotonic(), None
        if someone_watches():
            kind = tqdm_notebook if in_watched_notebook() else tqdm
            self._bar = kind(total=total, desc=title, unit="B", unit_scale=True, leave=False)

    def advance(self, count: int) -> None:
        """So many bytes more are done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            of_total = "" if self._total is None else f" of {self._total / 1e6:.0f}"
            print(f"{self._title}: {self._done / 1e6:.0f}{of_total} MB", flush=True)

    def close(self) -> None:
        """No more bytes."""
        if self._bar is not None:
            self._bar.close()
