"""`training.log`: what a training process prints, kept in the run folder whoever started it."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from maskrf_core.runs import Run


class Tee:
    """Writes to two streams."""

    def __init__(self, stream: TextIO, log: TextIO):
        self._stream, self._log = stream, log

    def write(self, text: str) -> int:
        if "\r" not in text:  # a bar, which moves in a terminal only
            with contextlib.suppress(OSError):  # a full disk; the training itself says so where it matters
                self._log.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._log.flush()
        self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextlib.contextmanager
def kept_in_log(run: Run) -> Iterator[None]:
    """Keep all that is printed meanwhile in the run's log as well, unless it goes there already."""
    if _goes_there(run) or int(os.environ.get("RANK", 0)) > 0:  # of several processes, the first one keeps it
        yield
        return
    with (
        run.log_path.open("a", encoding="utf-8", buffering=1) as log,
        contextlib.redirect_stdout(Tee(sys.stdout, log)),
        contextlib.redirect_stderr(Tee(sys.stderr, log)),
    ):
        yield


def _goes_there(run: Run) -> bool:
    try:
        return os.path.samestat(os.fstat(sys.stdout.fileno()), run.log_path.stat())
    except OSError:
        return False
