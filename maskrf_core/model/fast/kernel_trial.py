"""Whether kernels are to compute on a GPU: what a trial in a process of its own found, kept in the user's cache.

What goes wrong in a kernel can end the process that called it.
"""

import fcntl
import json
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import torch

from maskrf_core import cameras
from maskrf_core.model.fast.kernel_launches import Products
from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.digests import digest
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.file_locks import acquired
from maskrf_core.support.paths import private_folder

TRIAL = "maskrf_core.model.fast.kernel_check"
SECONDS = 900.0  # after which a trial has failed; compiling for gradients takes minutes
OF_FAULTS = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}


class Question(NamedTuple):
    """What the kernels would replace."""

    products: Products
    training: bool  # its gradients, too
    compiled: bool  # it would be compiled


class Verdict(NamedTuple):
    """What a trial found."""

    reason: str | None  # why the kernels are not to be used; None: they are
    times_as_fast: float | None = None
    lasting: bool = True  # False: it says nothing of the kernels, which are tried again


@cache
def verdict_on(question: Question, device: torch.device) -> Verdict:
    """Return what a trial on this GPU found: before, or now. Other processes that ask meanwhile wait for it."""
    try:
        kept = private_folder("kernels") / f"{_key(question, device)}.json"
        if (found := _read(kept)) is not None:
            return found
        print("networks of samples: first a trial of the kernels, for minutes; twin=true does without", flush=True)
        with kept.with_suffix(".lock").open("w", encoding="utf-8") as lock:
            with suppress(OSError):  # where a file system has no locks, each process makes a trial
                acquired(lock, fcntl.LOCK_EX, 2 * SECONDS)
            if (found := _read(kept)) is None:
                found = _in_a_process(question, device)
                if found.lasting:
                    with suppress(OSError):
                        write_json(kept, found._asdict())
            return found
    except (OSError, SettingsError):  # no folder of one's own, or a full disk
        return _in_a_process(question, device)


def _read(kept: Path) -> Verdict | None:
    with suppress(OSError, ValueError, TypeError):
        return Verdict(**json.loads(kept.read_text(encoding="utf-8")))
    return None


def _key(question: Question, device: torch.device) -> str:
    """Name all that a verdict depends on."""
    told = [*question, torch.cuda.get_device_name(device), torch.__version__, torch.version.cuda]
    with suppress(PackageNotFoundError):
        told.append(version("triton"))
    sources = [Path(cameras.__file__), *sorted(Path(__file__).parents[1].rglob("*.py"))]
    return digest(told + [path.read_bytes() for path in sources])[:32]


def _in_a_process(question: Question, device: torch.device) -> Verdict:
    options = ["--training"] * question.training + ["--compiled"] * question.compiled
    command = [sys.executable, "-m", TRIAL, str(device), question.products, *options]
    pipes = {"stdin": subprocess.DEVNULL, "capture_output": True, "encoding": "utf-8", "errors": "replace"}
    try:
        done = subprocess.run(command, timeout=SECONDS, **pipes)
    except OSError as error:
        return Verdict(f"their trial could not begin: {error}", lasting=False)
    except subprocess.TimeoutExpired:
        return Verdict(f"they were not ready after {SECONDS / 60:.0f} minutes")
    if done.returncode < 0:  # a signal for the training reaches this process, too
        return Verdict(f"their process was ended by signal {-done.returncode}", lasting=-done.returncode in OF_FAULTS)
    try:
        return Verdict(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        said = done.stderr.strip().splitlines() or ["without a word"]
        return Verdict(f"their trial failed: {said[-1]}", lasting=False)
