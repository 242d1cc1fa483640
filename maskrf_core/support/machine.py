"""The machine: its processor and GPUs, versions, memory, and work on several cores."""

import contextlib
import os
import platform
import re
import resource
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")
MapFunction = Callable[[Callable[[Item], Result], Iterable[Item]], Iterator[Result]]  # calls a function, as `map` does
VERSIONS_OF = ["maskrf-core", "torch", "torchvision", "lightning-fabric", "numpy", "scipy", "scikit-image"]
VERSIONS_OF += ["opencv-python-headless", "pillow", "pycolmap", "lpips", "pydantic"]
"""Packages whose version can change a number, and ours."""


def machine() -> dict[str, Any]:
    """Return host, platform, processor, GPU and thread counts, as torch sees them."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "processor": processor_name(),
        "processors": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if gpus else None,
        "gpus": gpus,
    }


def available_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many cores this process may use: those it is bound to, or fewer if its container gets less time."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        parts = ("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")  # of version 2 and 1
        files = next((names for names in parts if (cgroup / names[0]).is_file()), ())
        quota, period = " ".join((cgroup / name).read_text() for name in files).split()
        if int(quota) > 0:  # "max" or -1: no limit
            return max(1, min(bound, int(quota) // int(period)))
    return bound


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the model name of the CPU, or the architecture where the system does not tell it."""
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    found = re.search(r"^model name[ \t]*:[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)
    return (found and found[1]) or platform.processor() or platform.machine()


def versions() -> dict[str, str | None]:
    """Return the version of each package, None where it is not installed, and of CUDA and cuDNN as torch was built."""
    cudnn = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None
    built_with = {"cuda": torch.version.cuda, "cudnn": cudnn and str(cudnn)}
    installed: dict[str, str | None] = dict.fromkeys(VERSIONS_OF)
    for name in VERSIONS_OF:
        with contextlib.suppress(PackageNotFoundError):
            installed[name] = version(name)
    return installed | built_with


def peak_memory_mib() -> float:
    """Return the most memory that this process has held so far, in MiB.

    On Linux `ru_maxrss` counts what its parent held when it was started; `VmHWM` is this program's alone.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 2**10
    except (OSError, StopIteration):
        return _most_held(resource.RUSAGE_SELF)


def children_peak_memory_mib() -> float:
    """Return the most memory that any one child process, of those that have ended, had held, in MiB."""
    return _most_held(resource.RUSAGE_CHILDREN)


def _most_held(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def set_tensor_float32(allowed: bool) -> None:
    """Let a GPU round what goes into float32 convolutions to 10 bits (TF32), or not; matrix products never.

    By torch's default convolutions are rounded so. Products of matrices are what cameras are made of as well: rounded,
    they would miss their pixels.
    """
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = False


@contextlib.contextmanager
def tensor_float32(allowed: bool) -> Iterator[None]:
    """Set it in here, and then as it was."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    set_tensor_float32(allowed)
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@contextlib.contextmanager
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
