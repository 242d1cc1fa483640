"""The protocol of a training process: its command and environment, how it is asked to end, and its exit codes.

Nothing here imports torch: a process has to hear signals before the seconds that this takes.
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from maskrf_core.support.errors import MaskrfError

ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "1073741824",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""As in the Makefile: glibc keeps what was freed, for whatever thread needs it next, instead of paying for each page of
large temporaries again, and asks for huge pages, of which there are fewer to pay for."""
STOP_VARIABLE = "MASKRF_STOP"  # names a file that, once it is there, stops all trainings started with the variable


def training_command(folders: Sequence[str | Path]) -> list[str]:
    """Return the command that trains the runs in these folders, one after the other."""
    return [sys.executable, "-u", "-m", "maskrf_core.training", *(str(Path(folder).resolve()) for folder in folders)]


def several_processes(devices: int, *, options: Sequence[str] = ("--standalone",)) -> list[str]:
    """Return the command that trains in several processes of this node, without the run folders."""
    launcher = ["torch.distributed.run", *options, f"--nproc-per-node={devices}"]
    return [sys.executable, "-u", "-m", *launcher, "-m", "maskrf_core.training"]


def training_environment() -> dict[str, str]:
    """Return this process's environment, with the allocator's settings where none are given."""
    return ALLOCATOR | os.environ


class ExitCode(IntEnum):
    """Exit codes of a training process. Those that stopped were saved: the same command goes on."""

    FINISHED = 0
    FAILED = 1
    TRAINED_ELSEWHERE = 82
    STOP_FILE = 83
    SIGTERM = 84
    SIGUSR1 = 85
    SIGINT = 86

    @property
    def said(self) -> str:
        """Return the code's name in a sentence."""
        return "a file named stop" if self is ExitCode.STOP_FILE else self.name


SIGNALS = {getattr(signal, code.name): code for code in (ExitCode.SIGTERM, ExitCode.SIGUSR1, ExitCode.SIGINT)}
_received: list[ExitCode] = []


def last_lines(log: Path, count: int = 20) -> str:
    """Read the last lines of a log, for messages; none where it is missing."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 20_000))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])


class TrainingStopped(MaskrfError):  # noqa: N818 - nothing went wrong
    """A training was asked to end, and has saved."""

    def __init__(self, message: str, code: ExitCode):
        super().__init__(message)
        self.code = code


def hear_signals() -> None:
    """Note SIGTERM, SIGUSR1 and Ctrl-C from now on; the training ends after the step that it is in.

    A second Ctrl-C ends it at once.
    """

    def note(number: int, _frame: object) -> None:
        _received.append(SIGNALS[number])
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)

    for number in SIGNALS:
        signal.signal(number, note)


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


def asked_to_stop(stop_file: Path) -> ExitCode | None:
    """Return what asked for a stop first, if anything has: a signal, the run's own file, or that of `MASKRF_STOP`."""
    if _received:
        return _received[0]
    of_all = os.environ.get(STOP_VARIABLE)
    if stop_file.exists() or (of_all and Path(of_all).exists()):
        return ExitCode.STOP_FILE
    return None
