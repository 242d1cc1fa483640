"""Saves, keeps and unpacks again and again where room or memory runs out at a random moment.

`python -m tests.limited checkpoint disk 100` prints how often the
work was done, refused by an error, or died (C++ libraries may end a process without memory). Each time, a fork of this
process does it, and another one holds what it left to what has to be there.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint, save_checkpoint
from maskrf_core.datasets.archives.unpacking import unpack
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.render_cache import RenderCache
from maskrf_core.support.errors import MaskrfError
from tests.datasets.archives.archive_files import tree, write_archive

REFUSED = 3
# What ends a work. Without memory, libraries also raise SystemError, and imports that come late fail.
REFUSALS = {"disk": (OSError, MaskrfError, RuntimeError), "memory": (Exception,)}
FILES = {f"{k}.bin": bytes([k]) * 400_000 for k in range(8)}
KEYS = ["ab" * 32, "cd" * 32]
PICTURES = {"fine": np.ones((400, 300, 3), np.float32)}


class Work(NamedTuple):
    """What is done in a folder; `begin` comes before, and `check` is told whether it was done."""

    begin: Callable[[Path], object]
    do: Callable[[Path], object]
    check: Callable[[Path, bool], object]
    most: dict[str, int]  # bytes of a file, or of memory beyond what the process has, with which it is done


def saved(folder: Path, step: int) -> None:
    torch.manual_seed(step)
    save_checkpoint(folder / "last.pt", Renderer(), step, {}, previous=folder / "previous.pt")


def check_saved(folder: Path, done: bool) -> None:
    assert read_our_checkpoint(folder / "last.pt")["step"] == (2 if done else 1)
    assert not done or read_our_checkpoint(folder / "previous.pt")["step"] == 1


def kept(folder: Path, key: str) -> None:
    RenderCache(folder, 20).put(key, PICTURES)


def keep(folder: Path) -> None:
    kept(folder, KEYS[1])
    if RenderCache(folder, 20).get(KEYS[1]) is None:
        raise OSError("it was not kept")


def check_kept(folder: Path, done: bool) -> None:
    found = [RenderCache(folder, 20).get(key) for key in KEYS]
    assert all(each is None or np.array_equal(each["fine"], PICTURES["fine"]) for each in found)
    assert found[0] is not None
    assert not done or found[1] is not None


def check_unpacked(folder: Path, done: bool) -> None:
    there = tree(folder / "out")
    assert (there == FILES) if done else all(FILES.get(name) == content for name, content in there.items())
    unpack(folder / "a.tar.gz", folder / "out")
    assert tree(folder / "out") == FILES


WORKS = {
    "checkpoint": Work(
        lambda folder: saved(folder, 1),
        lambda folder: saved(folder, 2),
        check_saved,
        {"disk": 15 * 10**6, "memory": 8 * 10**7},
    ),
    "cache": Work(lambda folder: kept(folder, KEYS[0]), keep, check_kept, {"disk": 2 * 10**6, "memory": 10**7}),
    "archive": Work(
        lambda folder: write_archive(folder / "a.tar.gz", FILES),
        lambda folder: unpack(folder / "a.tar.gz", folder / "out"),
        check_unpacked,
        {"disk": 5 * 10**5, "memory": 2 * 10**6},
    ),
}


def limit(cap: str, size: int) -> None:
    """Let this process write no file longer than so many bytes, or ask for no more memory than so much."""
    if cap == "memory":
        size += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    kind = {"disk": resource.RLIMIT_FSIZE, "memory": resource.RLIMIT_AS}[cap]
    resource.setrlimit(kind, (size, size))


def ended(do: Callable[[], object], refusals: tuple[type[Exception], ...] = ()) -> int:
    """Do something in a child, whose memory is as small as this process's, and return its exit code."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
        do()
        code = 0
    except refusals:
        code = REFUSED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def once(work: Work, cap: str, size: int, folder: Path) -> str:
    """Do the work under a limit, check what it left without one, and return how it ended."""
    assert ended(lambda: work.begin(folder)) == 0
    code = ended(lambda: (limit(cap, size), work.do(folder)), REFUSALS[cap])
    assert code != 1, f"{cap} of {size} bytes: another error than of a limit"
    assert ended(lambda: work.check(folder, code == 0)) == 0, f"{cap} of {size} bytes: {code}"
    return {0: "done", REFUSED: "refused"}.get(code, "died")


def main() -> None:
    """Print how often the work ended how."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("cap", choices=REFUSALS)
    parser.add_argument("times", type=int)
    asked = parser.parse_args()
    work, chance, ends = WORKS[asked.work], random.Random(0), dict.fromkeys(("done", "refused", "died"), 0)
    for _ in range(asked.times):
        with tempfile.TemporaryDirectory() as folder:
            ends[once(work, asked.cap, chance.randrange(work.most[asked.cap]), Path(folder))] += 1
    print(json.dumps(ends))


if __name__ == "__main__":
    main()
