"""Kills a training at random moments until it is done: `python -m tests.training.killing RUN_FOLDER KILLS SEED`.

Everything is imported once; each life of the training is a fork of this process, which has done nothing with torch yet.
That makes a life cheap enough for twenty in the tests; it holds the same lock and dies of the same signal.
"""

import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path

from maskrf_core.runs import Run
from maskrf_core.training.trainer import fit


def main(folder: Path, kills: int, seed: int) -> None:
    """Print the number of kills that hit a living training."""
    run, chance, hits = Run.open(folder), random.Random(seed), 0
    while hits < kills:
        child = begin(run)
        time.sleep(chance.uniform(0.05, 2.0))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break  # it was done before
        hits += 1
    _, status = os.waitpid(begin(run), 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"the last life failed: {run.status}")
    print(hits)


def begin(run: Run) -> int:
    """One life."""
    child = os.fork()
    if child:
        return child
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    code = 1
    try:
        fit(run)
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
