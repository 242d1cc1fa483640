"""What a training costs beside its steps, and what its steps cost (`python -m tests.benchmarks.training [PART...]`).

At the demo's size, on the CPU. Parts, all of them by default:
`overhead`: steps as the training process does them, with log, status, stop file and a notebook that follows, against
the bare steps over the same batches; in turn, in one process;
`checkpoint`: seconds and MiB of a checkpoint, saved with what reading it back takes, and read to continue from;
`scaling`: two training processes against one; they share the cores, so that the second brings none of its own.
"""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from maskrf_core.runs import Run
from maskrf_core.runs.log import MetricAverager, RunLog
from maskrf_core.runs.status import owned
from maskrf_core.settings.config import load_config
from maskrf_core.support.measuring import spread, timed
from maskrf_core.support.progress import Progress
from maskrf_core.training.process.protocol import training_command, training_environment
from maskrf_core.training.saved_states import read_newest
from maskrf_core.workbook.experiments.statistics import estimate
from tests.benchmarks.measuring import chosen, keep, options
from tests.benchmarks.training_steps import ENDLESS, bare, drawn, trainer_of

FOLLOW = "import sys; from maskrf_core.runs import Run; from maskrf_core.workbook.experiments.following import train; "


def overhead(folder: Path, steps: int, repeats: int) -> dict:
    """Each repeat a pair of runs that log once; the follower sleeps while the bare steps are done.

    Steps vary by more than what is sought: many short pairs say it, with their interval.
    """
    trainer = trainer_of(folder / "run", **{"training.log_every": steps})
    draws, pairs = drawn(trainer, steps), []

    def whole(log: RunLog, progress: Progress) -> float:
        """Seconds a step as the training process does it."""
        trainer.step, trainer.interval, begun = 0, MetricAverager(0), time.perf_counter()
        with contextlib.suppress(StopIteration):
            trainer._fit(iter(draws), log, progress)
        return (time.perf_counter() - begun) / steps

    with owned(trainer.run.folder), followed(trainer.run) as follower:
        bare(trainer, draws)
        for pair in range(repeats):
            seconds = {}
            for with_all in (True, False) if pair % 2 else (False, True):
                with printing(trainer.run) as (log, progress):
                    follower.send_signal(signal.SIGCONT if with_all else signal.SIGSTOP)
                    seconds[with_all] = whole(log, progress) if with_all else bare(trainer, draws)
            pairs.append((seconds[False], seconds[True]))
    percent = estimate([100 * (with_all / alone - 1) for alone, with_all in pairs])
    return {
        "steps_a_run": steps,
        "bare_seconds_per_step": spread([one for one, _ in pairs]),
        "whole_seconds_per_step": spread([one for _, one in pairs]),
        "overhead_percent": percent.mean,
        "overhead_percent_half_of_95_interval": percent.half,
    }


@contextlib.contextmanager
def followed(run: Run) -> Iterator[subprocess.Popen]:
    """A process that follows as a notebook does."""
    command = [sys.executable, "-c", f"{FOLLOW}train(Run.open(sys.argv[1]))", str(run.folder)]
    follower = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(20)  # it imports torch meanwhile
        yield follower
        assert follower.poll() is None, "the follower has ended: nothing was measured"
    finally:
        follower.kill()
        follower.wait()


@contextlib.contextmanager
def printing(run: Run) -> Iterator[tuple[RunLog, Progress]]:
    """A new log and bar, what is printed going where a training process's goes."""
    with (
        contextlib.closing(RunLog(run, 0)) as log,
        contextlib.closing(Progress(ENDLESS, 0, "overhead")) as progress,
        run.log_path.open("a", buffering=1) as printed,
        contextlib.redirect_stdout(printed),
    ):
        yield log, progress


def checkpoint(folder: Path, steps: int, repeats: int) -> dict:
    """Saved by the trainer as it does at its intervals; the first one has nothing to keep."""
    trainer = trainer_of(folder / "run")
    bare(trainer, drawn(trainer, min(steps, 2)))
    saved, loaded = [], []

    def load() -> None:
        found = read_newest(trainer.run)
        assert found is not None
        trainer.optimiser.load_state_dict(trainer._restored(found)["optimiser"])

    for _ in range(repeats + 1):
        saved.append(timed(lambda: trainer._save(needed=True)))
        loaded.append(timed(load))
    size = trainer.run.last_checkpoint.stat().st_size / 2**20
    return {"mib": size, "save_seconds": spread(saved[1:]), "load_seconds": spread(loaded[1:])}


def scaling(folder: Path, steps: int, repeats: int) -> dict:
    """Whole training processes, without the first interval; seconds of a step as they logged it."""
    cores = os.cpu_count() or 1
    cases = {"1 process, all threads": (1, cores), "1 process, half the threads": (1, max(1, cores // 2)),
             "2 processes, half the threads each": (2, max(1, cores // 2))}  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    every = max(1, steps // 4)
    settings = {"training.steps": 4 * every, "training.log_every": every, "training.validate_every": ENDLESS}
    for repeat in range(repeats):
        for name, (devices, threads) in cases.items():
            settings |= {"hardware.devices": devices, "hardware.device": "cpu", "masking.start_step": 0}
            run = Run.start(folder / f"{repeat}_{devices}_{threads}", load_config("pretrain", "demo", settings))
            environment = training_environment() | {"OMP_NUM_THREADS": str(threads)}
            subprocess.run(training_command([run.folder]), env=environment, check=True, stdout=subprocess.DEVNULL)
            trained = run.metrics().query("phase == 'train'")["seconds_per_step"]
            seconds[name].append(float(trained.iloc[1:].mean()))
            rays = run.config.data.rays
    rows = {
        name: {
            "seconds_per_step": spread(measured),
            "steps_per_second": 1 / statistics.median(measured),
            "rays_per_second": cases[name][0] * rays / statistics.median(measured),
        }
        for name, measured in seconds.items()
    }
    return {"cores_shared": cores, "rays_a_process": rays, "cases": rows}


def main() -> None:
    """Measure, print, keep each part in runs/benchmarks/."""
    parts = {"overhead": overhead, "checkpoint": checkpoint, "scaling": scaling}
    parser = options("Measure training at the demo's size.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; default: all")
    parser.add_argument("--steps", type=int, default=40, help="of each run")
    arguments = parser.parse_args()
    for name in chosen(parser, arguments.parts, list(parts)):
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            measured = parts[name](Path(folder), arguments.steps, arguments.repeats)
        keep(f"training_{name}", arguments.repeats, measured)


if __name__ == "__main__":
    main()
