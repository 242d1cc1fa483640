"""The command that trains runs in a process of its own, and the environment that it is given. Torch is not imported."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "1073741824",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""As in the Makefile: glibc keeps what was freed, for whatever thread needs it next, instead of paying for each page of
large temporaries again, and asks for huge pages, of which there are fewer to pay for."""


def training_command(folders: Sequence[str | Path]) -> list[str]:
    """Train the runs in these folders, one after the other."""
    return [sys.executable, "-u", "-m", "maskrf_core.training", *(str(Path(folder).resolve()) for folder in folders)]


def several_processes(devices: int, *, options: Sequence[str] = ("--standalone",)) -> list[str]:
    """What stands before the arguments of `training_command` to train in several processes of this node."""
    launcher = ["torch.distributed.run", *options, f"--nproc-per-node={devices}"]
    return [sys.executable, "-u", "-m", *launcher, "-m", "maskrf_core.training"]


def training_environment() -> dict[str, str]:
    """This process's environment, with the allocator's settings where none are given."""
    return ALLOCATOR | os.environ
