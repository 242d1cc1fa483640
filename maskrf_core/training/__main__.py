"""`python -m maskrf_core.training RUN_FOLDER...` trains runs, one after the other; its exit code says how it ended.

Where a run asks for several devices, their processes are started here; under torchrun this is one of them.
"""

import argparse
import contextlib
import os
import platform
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import psutil

from maskrf_core.support.errors import MaskrfError
from maskrf_core.training.process.protocol import (
    LAUNCHER_VARIABLE,
    SIGNALS,
    ExitCode,
    TrainingStopped,
    hear_signals,
    launched_by_torchrun,
    place_among_processes,
    several_processes,
    training_environment,
)

if TYPE_CHECKING:
    from maskrf_core.runs import Run, TrainingStatus

SECONDS_BETWEEN_LOOKS = 0.1


def main(arguments: list[str] | None = None) -> ExitCode:
    """Train the runs that are named, up to the first that stops or fails."""
    parser = argparse.ArgumentParser(prog="python -m maskrf_core.training", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN_FOLDER", help="folder with a config.yaml")
    folders = parser.parse_args(arguments).folders
    hear_signals()
    if place_among_processes()[0] > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - what all have to say, the first one says
    for folder in folders:
        code = train(folder)
        if code is not ExitCode.FINISHED:
            return code
    return ExitCode.FINISHED


def train(folder: Path) -> ExitCode:
    """Train one run. An error is printed, and stands in the run folder."""
    from maskrf_core.runs import Run
    from maskrf_core.runs.status import AlreadyTrained

    with contextlib.ExitStack() as log:  # all that is printed on the way is kept there
        try:
            run = Run.open(folder)
            hardware = run.config.hardware
            if not launched_by_torchrun() and hardware.devices > 1 and hardware.num_nodes == 1:
                return train_in_several(run)
            log.enter_context(kept_in_log(run))
            from maskrf_core.training.trainer import fit

            hear_signals()  # again: some of what was imported (pycolmap's log) took SIGTERM for itself
            fit(run)
        except TrainingStopped as stopped:
            print(stopped, flush=True)
            # Any other code would have torchrun print that the training failed; the launcher reads the true one.
            return ExitCode.FINISHED if os.environ.get(LAUNCHER_VARIABLE) else stopped.code
        except AlreadyTrained as elsewhere:
            print(elsewhere, flush=True)
            return ExitCode.TRAINED_ELSEWHERE
        except MaskrfError as error:  # a traceback would only hide what a user can do
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return ExitCode.FAILED
        except Exception:
            traceback.print_exc()
            return ExitCode.FAILED
    return ExitCode.FINISHED


def train_in_several(run: "Run") -> ExitCode:
    """Start one process a device, pass this one's signals on to the first, and end as they ended."""
    from maskrf_core.runs.status import is_owned

    if is_owned(run.folder):
        print(f"{run.folder}: is being trained already.", flush=True)
        return ExitCode.TRAINED_ELSEWHERE
    heard: list[int] = []
    for number in SIGNALS:
        signal.signal(number, lambda number, _frame: heard.append(number))
    before, devices = run.status and run.status.started, run.config.hardware.devices
    threads = str(max(1, (os.cpu_count() or 1) // devices))  # torchrun would give each only one
    told = {LAUNCHER_VARIABLE: "1", "OMP_NUM_THREADS": threads}
    children = subprocess.Popen([*several_processes(devices), str(run.folder.resolve())],
                                env=told | training_environment(), start_new_session=True)  # fmt: skip
    while children.poll() is None:
        status = run.status
        if heard and status is not None and status.started != before and _is_ours(status, children.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(status.pid, heard.pop(0))
        time.sleep(SECONDS_BETWEEN_LOOKS)
    status = run.status
    if status is None or status.started == before or status.exit_code is None:
        return ExitCode.TRAINED_ELSEWHERE if is_owned(run.folder) else ExitCode.FAILED
    return ExitCode(status.exit_code)


def _is_ours(status: "TrainingStatus", launcher: int) -> bool:
    """Tell whether the process that wrote a status is here, and one that the launcher started: anyone can write one."""
    if status.pid <= 1 or status.host != platform.node():
        return False
    with contextlib.suppress(psutil.Error):
        return launcher in [parent.pid for parent in psutil.Process(status.pid).parents()]
    return False


class Tee:
    """A stream that writes to a log, whose lines are flushed as they come, as well."""

    def __init__(self, stream: TextIO, log: TextIO):
        self._stream, self._log = stream, log

    def write(self, text: str) -> int:
        if "\r" not in text:  # a bar, which moves in a terminal only
            with contextlib.suppress(OSError):  # a full disk; the training itself says so where it matters
                self._log.write(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextlib.contextmanager
def kept_in_log(run: "Run") -> Iterator[None]:
    """Write all that is printed meanwhile to `training.log` of the run as well, unless it goes there already."""
    goes_there = False
    with contextlib.suppress(OSError):
        goes_there = os.path.samestat(os.fstat(sys.stdout.fileno()), run.log_path.stat())
    if goes_there or place_among_processes()[0] > 0:  # of several processes, the first one keeps it
        yield
        return
    with (
        run.log_path.open("a", encoding="utf-8", buffering=1) as log,
        contextlib.redirect_stdout(Tee(sys.stdout, log)),
        contextlib.redirect_stderr(Tee(sys.stderr, log)),
    ):
        yield


if __name__ == "__main__":
    sys.exit(main())
