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
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch

from maskrf_core.datasets.batches.training_views import TrainingDraw
from maskrf_core.runs import Run
from maskrf_core.runs.log import MetricAverager, RunLog
from maskrf_core.runs.status import owned
from maskrf_core.settings.config import load_config
from maskrf_core.support.progress import Progress
from maskrf_core.training.process.protocol import training_command, training_environment
from maskrf_core.training.saved_states import read_newest
from maskrf_core.training.trainer import Trainer
from maskrf_core.workbook.experiments.grid_statistics import estimate
from maskrf_core.workbook.experiments.measurements import Spread, in_turn
from tests.benchmarks.measuring import keep, options

FOLLOW = "import sys; from maskrf_core.runs import Run; from maskrf_core.workbook.experiments.following import train; "
ENDLESS = 10**6


def trainer_of(folder: Path, **settings: object) -> Trainer:
    """Make a pretraining that neither validates nor saves by itself, with the masked terms from the first step on."""
    quiet = {f"training.{name}": ENDLESS for name in ("steps", "validate_every", "checkpoint_every")}
    fixed = quiet | {"masking.start": 0.0, "hardware.device": "cpu"}
    return Trainer(Run.start(folder, load_config("pretrain", "demo", fixed | settings)))


def drawn(trainer: Trainer, count: int) -> list[TrainingDraw]:
    """Draw the first batches, into memory."""
    with contextlib.closing(trainer.batches()) as batches:
        return list(islice(batches, count))


def take(trainer: Trainer, draws: Sequence[TrainingDraw]) -> None:
    """Take a training step with each draw, and do nothing else."""
    trainer.step = 0
    for draw in draws:
        trainer._train_step(draw)
        trainer.step += 1


def overhead(folder: Path, steps: int, repeats: int) -> dict:
    """Measure pairs of runs that log once; the follower sleeps while the bare steps are done.

    Steps vary by more than what is sought: many short pairs say it, with their interval. They are timed here, since the
    timer's runs that do not count would double the hour.
    """
    trainer = trainer_of(folder / "run", **{"training.log_every": steps})
    draws, pairs = drawn(trainer, steps), []
    with owned(trainer.run.folder), followed(trainer.run) as follower:
        take(trainer, draws)
        for pair in range(repeats):
            seconds = {}
            for with_all in (True, False) if pair % 2 else (False, True):
                with printing(trainer.run) as (log, progress):
                    follower.send_signal(signal.SIGCONT if with_all else signal.SIGSTOP)
                    trainer.step, trainer.interval = 0, MetricAverager(0)
                    begun = time.perf_counter()
                    with contextlib.suppress(StopIteration):  # the draws are all there are
                        _ = trainer._fit(iter(draws), log, progress) if with_all else take(trainer, draws)
                    seconds[with_all] = (time.perf_counter() - begun) / steps
            pairs.append((seconds[False], seconds[True]))
    percent = estimate([100 * (with_all / alone - 1) for alone, with_all in pairs])
    return {
        "steps_a_run": steps,
        "bare_seconds_per_step": Spread.of([one for one, _ in pairs]),
        "whole_seconds_per_step": Spread.of([one for _, one in pairs]),
        "overhead_percent": percent.mean,
        "overhead_percent_half_of_95_interval": percent.half,
    }


@contextlib.contextmanager
def followed(run: Run) -> Iterator[subprocess.Popen]:
    """Run a process that follows as a notebook does."""
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
    """Open a new log and bar, what is printed going where a training process's goes."""
    with (
        contextlib.closing(RunLog(run, 0)) as log,
        contextlib.closing(Progress(ENDLESS, 0, "overhead")) as progress,
        run.log_path.open("a", buffering=1) as printed,
        contextlib.redirect_stdout(printed),
    ):
        yield log, progress


def checkpoint(folder: Path, steps: int, repeats: int) -> dict:
    """Time a checkpoint, saved by the trainer as it does at its intervals, and read again to go on."""
    trainer = trainer_of(folder / "run")
    take(trainer, drawn(trainer, min(steps, 2)))

    def load() -> None:
        found = read_newest(trainer.run)
        assert found is not None
        trainer.optimiser.load_state_dict(trainer._restored(found)["optimiser"])

    measured = in_turn({"save": lambda: trainer._save(needed=True), "load": load}, repeats)
    size = trainer.run.last_checkpoint.stat().st_size / 2**20
    return {"mib": size} | {f"{name}_seconds": Spread.of(seconds) for name, seconds in measured.items()}


def scaling(folder: Path, steps: int, repeats: int) -> dict:
    """Compare whole training processes, without the first interval, by the seconds of a step that they logged."""
    cores = os.cpu_count() or 1
    cases = {"1 process, all threads": (1, cores), "1 process, half the threads": (1, max(1, cores // 2)),
             "2 processes, half the threads each": (2, max(1, cores // 2))}  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    every = max(1, steps // 4)
    settings = {"training.steps": 4 * every, "training.log_every": every, "training.validate_every": ENDLESS}
    for repeat in range(repeats):
        for name, (devices, threads) in cases.items():
            settings |= {"hardware.devices": devices, "hardware.device": "cpu", "masking.start": 0.0}
            run = Run.start(folder / f"{repeat}_{devices}_{threads}", load_config("pretrain", "demo", settings))
            environment = training_environment() | {"OMP_NUM_THREADS": str(threads)}
            subprocess.run(training_command([run.folder]), env=environment, check=True, stdout=subprocess.DEVNULL)
            trained = run.metrics().query("phase == 'train'")["seconds_per_step"]
            seconds[name].append(float(trained.iloc[1:].mean()))
            rays = run.config.data.rays
    rows = {
        name: {
            "seconds_per_step": Spread.of(measured),
            "steps_per_second": 1 / statistics.median(measured),
            "rays_per_second": cases[name][0] * rays / statistics.median(measured),
        }
        for name, measured in seconds.items()
    }
    return {"cores_shared": cores, "rays_a_process": rays, "cases": rows}


def main() -> None:
    """Measure, print, keep each part in runs/benchmarks/."""
    parts = {"overhead": overhead, "checkpoint": checkpoint, "scaling": scaling}
    parser = options("Measure training at the demo's size.", parts)
    parser.add_argument("--steps", type=int, default=40, help="of each run")
    arguments = parser.parse_args()
    for name in arguments.parts:
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            measured = parts[name](Path(folder), arguments.steps, arguments.repeats)
        keep(f"training_{name}", arguments.repeats, measured)


if __name__ == "__main__":
    main()
