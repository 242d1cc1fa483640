"""The machine: its processor and GPUs, the versions of libraries, and the memory that a process has used."""

import contextlib
import os
import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

VERSIONS_OF = (
    "maskrf-core",
    "torch",
    "torchvision",
    "lightning-fabric",
    "numpy",
    "scipy",
    "scikit-image",
    "opencv-python-headless",
    "pillow",
    "pycolmap",
    "lpips",
    "pydantic",
)
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


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the model name of the CPU, or the architecture where the system does not tell it."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


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

    Linux counts in `ru_maxrss` what the process held before it became another program, which is what its parent held:
    the kernel of a notebook, say. `VmHWM` is this program's alone.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 2**10
    except (OSError, StopIteration):
        return _mib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def children_peak_memory_mib() -> float:
    """Return the most memory that any one child process, of those that have ended, had held, in MiB."""
    return _mib(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _mib(maxrss: int) -> float:
    return maxrss / (2**20 if sys.platform == "darwin" else 2**10)
