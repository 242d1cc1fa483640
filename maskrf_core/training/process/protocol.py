"""The protocol of a training process: its command and environment, how it is asked to end, and its exit codes.

Nothing here imports torch: a process has to hear signals before the seconds that this takes.
"""

import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
SUBMITTED_VARIABLE = "MASKRF_SUBMITTED"  # when the job that this belongs to was queued, in seconds since 1970
SAVED_VARIABLE = "MASKRF_SAVED"  # names a file that gets a line for each run and step saved by trainings started so
LAUNCHER_VARIABLE = "MASKRF_LAUNCHER"  # set where the launcher of several processes reads in the status how they ended
TORCHRUN = "TORCHELASTIC_RUN_ID"  # torchrun's own mark on the processes that it starts
PLACES = ("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE",
          "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # fmt: skip
OF_TORCHRUN = ("TORCHELASTIC_", "PET_")  # begin what torchrun tells its processes, and what it takes as its options


def training_command(folders: Sequence[str | Path]) -> list[str]:
    """Return the command that trains the runs in these folders, one after the other."""
    return [sys.executable, "-u", "-m", "maskrf_core.training", *(str(Path(folder).resolve()) for folder in folders)]


def several_processes(devices: int, *, options: Sequence[str] = ()) -> list[str]:
    """Return the command that trains in several processes of this node, without the run folders.

    Where `options` name no address, they meet at a free port. By `--standalone` torchrun would unpickle there what
    anyone may have sent.
    """
    options = options or ("--master-addr=127.0.0.1", f"--master-port={_free_port()}")
    launcher = ["torch.distributed.run", *options, f"--nproc-per-node={devices}"]
    return [sys.executable, "-u", "-m", *launcher, "-m", "maskrf_core.training"]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def training_environment() -> dict[str, str]:
    """Return the environment of a training that this process starts: its own, and the allocator's settings where none
    are given; but not this process's place among several, nor any that was left there."""
    return ALLOCATOR | {name: value for name, value in os.environ.items() if not _tells_a_place(name)}


def forget_places() -> None:
    """Drop from this process's environment every place among several processes: libraries believe what is there."""
    for name in filter(_tells_a_place, list(os.environ)):
        del os.environ[name]


def _tells_a_place(name: str) -> bool:
    return name in PLACES or name.startswith(OF_TORCHRUN)


def launched_by_torchrun() -> bool:
    """Tell whether torchrun started this process. RANK and WORLD_SIZE alone do not say so: pods and interactive nodes
    leave them, even empty, in the environment of whatever is started there."""
    return all(os.environ.get(name) for name in (TORCHRUN, "RANK", "WORLD_SIZE"))


def place_among_processes() -> tuple[int, int]:
    """Return the number of this process among those that train together, from 0 on, and how many these are."""
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if launched_by_torchrun() else (0, 1)


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


def heed_stop(stop_file: Path) -> None:
    """Remove a stop file that is older than the start: whoever starts trainings wants them to go on.

    A job was started when it was queued: `TrainingStopped` is raised where a stop was asked for while it waited.
    """
    if stopped_since(float(os.environ.get(SUBMITTED_VARIABLE) or "inf"), stop_file):
        raise TrainingStopped(
            f"{stop_file.parent}: a file named stop was put there while its job waited, so nothing was done. Start it "
            "again to go on.",
            ExitCode.STOP_FILE,
        )
    stop_file.unlink(missing_ok=True)


def stopped_since(submitted: float, stop_file: Path) -> bool:
    """Tell whether a stop file was put there at that time or later, in seconds since 1970."""
    with suppress(OSError):
        return stop_file.stat().st_mtime >= submitted
    return False


def tell_saved(folder: Path, step: int) -> None:
    """Tell whoever started this training that it can go on from a step. A full disk stops no training by this."""
    if name := os.environ.get(SAVED_VARIABLE):
        with suppress(OSError), Path(name).open("a", encoding="utf-8") as file:
            file.write(f"{folder.resolve()} {step}\n")
