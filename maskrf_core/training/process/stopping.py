"""How a training is asked to save and end: SIGTERM, SIGUSR1, Ctrl-C, or a file `stop`. Nothing here imports torch."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from maskrf_core.support.errors import MaskrfError

STOP_VARIABLE = "MASKRF_STOP"
"""Environment variable: a file that, once it is there, stops every training started with it; for launchers of jobs."""


class ExitCode(IntEnum):
    """Of a training process. Those that stopped were saved: the same command goes on."""

    FINISHED = 0
    FAILED = 1
    TRAINED_ELSEWHERE = 82
    STOP_FILE = 83
    SIGTERM = 84
    SIGUSR1 = 85
    SIGINT = 86

    @property
    def said(self) -> str:
        """For people."""
        return "a file named stop" if self is ExitCode.STOP_FILE else self.name


SIGNALS = {getattr(signal, code.name): code for code in (ExitCode.SIGTERM, ExitCode.SIGUSR1, ExitCode.SIGINT)}
_received: list[ExitCode] = []


class TrainingStopped(MaskrfError):  # noqa: N818 - nothing went wrong
    """A training was asked to end, and has saved."""

    def __init__(self, message: str, code: ExitCode):
        super().__init__(message)
        self.code = code


def hear_signals() -> None:
    """From now on, SIGTERM, SIGUSR1 and Ctrl-C are noted, and the training ends after the step that it is in.

    A second Ctrl-C ends it at once.
    """
    for number in SIGNALS:
        signal.signal(number, _note)


@contextmanager
def signals_heard() -> Iterator[None]:
    """Hear signals meanwhile, as `hear_signals` does; afterwards they do what they did before."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    hear_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received.clear()


def _note(number: int, _frame: object) -> None:
    _received.append(SIGNALS[number])
    if number == signal.SIGINT:
        signal.signal(number, signal.default_int_handler)


def asked_to_stop(stop_file: Path) -> ExitCode | None:
    """What asked for it first, if anything has: a signal, the run's own file, or the one of `MASKRF_STOP`."""
    if _received:
        return _received[0]
    of_all = os.environ.get(STOP_VARIABLE)
    if stop_file.exists() or (of_all and Path(of_all).exists()):
        return ExitCode.STOP_FILE
    return None
