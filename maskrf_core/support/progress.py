"""Progress of long work: a bar where a person watches, one line every few seconds where not."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 20


def in_watched_notebook() -> bool:
    """Tell whether a person has this kernel's notebook open: in Jupyter, whose server names its session, or in VS Code.

    VS Code puts the notebook's name among those of the cells. Its variables in the environment say less: papermill and
    nbval inherit them.
    """
    in_vs_code = hasattr(sys.modules["__main__"], "__vsc_ipynb_file__")
    return "ipykernel" in sys.modules and ("JPY_SESSION_NAME" in os.environ or in_vs_code)


@lru_cache(maxsize=64)
def say_once(line: str) -> None:
    """Print a line, once in a process."""
    print(line, flush=True)


def someone_watches() -> bool:
    """Tell whether there is a terminal or an open notebook: somewhere a bar can move."""
    return in_watched_notebook() or sys.stderr.isatty()


class Progress:
    """A bar of `total` steps where someone watches; else `line` prints, and `advance` does nothing."""

    def __init__(self, total: int | None, done: int, title: str, **options: Any):
        self._bar = None
        if someone_watches():
            kind = tqdm
            if in_watched_notebook():
                from tqdm.notebook import tqdm as kind  # imports ipywidgets
            self._bar = kind(total=total, initial=done, desc=title, **{"unit": "step"} | options)

    def advance(self, steps: int = 1) -> None:
        """Count so many steps more as done."""
        if self._bar is not None:
            self._bar.update(steps)

    def say(self, text: str) -> None:
        """Show what happens now, behind the bar where there is one."""
        if self._bar is not None:
            self._bar.set_postfix_str(text)

    def line(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.write(text)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()


class CountedProgress(Progress):
    """A bar where someone watches, else a line that says how much of `total` (None: unknown) is done, now and then."""

    def __init__(self, total: int | None, title: str, *, in_bytes: bool = False):
        unit = {"unit": "B", "unit_scale": True} if in_bytes else {"unit": "it"}
        super().__init__(total, 0, title, leave=False, **unit)
        self._title, self._scale, self._ending = title, 1e6 if in_bytes else 1, " MB" if in_bytes else ""
        self._of_total = "" if total is None else f" of {total / self._scale:.0f}"
        self._done, self._said = 0, time.monotonic()

    def advance(self, steps: int = 1) -> None:
        """Count so many as done."""
        super().advance(steps)
        self._done += steps
        if self._bar is None and time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            print(f"{self._title}: {self._done / self._scale:.0f}{self._of_total}{self._ending}", flush=True)


def tracked(items: Iterable[Item], *, total: int, title: str) -> Iterator[Item]:
    """Iterate over `items` with a bar if someone watches, else with a line every few seconds."""
    with closing(CountedProgress(total, title)) as progress:
        for item in items:
            yield item
            progress.advance()
