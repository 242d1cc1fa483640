"""What a training costs beside its steps, and what its steps cost (`python -m tests.benchmarks.training [PART...]`).

At the demo's size, on the CPU. Parts, all of them by default:
`overhead`: steps as the training process does them, with log, status, stop file and a notebook that follows, against
the bare steps over the same batches; in turn, in one process;
`checkpoint`: seconds and MiB of a checkpoint, saved with what reading it back takes, and read to continue from;
`scaling`: two training processes against one; they share the cores, so that the second brings none of its own;
`growth`: steps a second where rays, views, samples or pixels are doubled and doubled again.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path

import torch

from maskrf_core.config import load_config
from maskrf_core.datasets.batch import SceneBatch, Views
from maskrf_core.datasets.training_views import TrainingDraw
from maskrf_core.files import write_json
from maskrf_core.progress import Progress
from maskrf_core.runs import Run
from maskrf_core.runs.lock import owned
from maskrf_core.runs.log import RunLog
from maskrf_core.runs.machine import processor_name
from maskrf_core.storage import RUNS
from maskrf_core.training.command import training_command, training_environment
from maskrf_core.training.interval import Interval
from maskrf_core.training.saving import read_newest
from maskrf_core.training.trainer import Trainer
from tests.benchmarks.measuring import spread, table, timed

ENDLESS = 10**6
QUANTITIES = ("rays", "views", "samples", "pixels")
FOLLOW = "import sys; from maskrf_core.runs import Run; from maskrf_core.workbook.following import train; "


def trainer_of(folder: Path, **overrides: object) -> Trainer:
    """Of a pretraining that neither validates nor saves by itself, with the masked terms from the first step on."""
    quiet = {"training.steps": ENDLESS, "training.validate_every": ENDLESS, "training.checkpoint_every": ENDLESS}
    settings = quiet | {"masking.start_step": 0, "hardware.device": "cpu"}
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return Trainer(Run.start(folder, load_config("pretrain", "demo", settings | named)))


def drawn(trainer: Trainer, count: int) -> list[TrainingDraw]:
    """The first batches, in memory."""
    with contextlib.closing(trainer.batches()) as batches:
        return list(islice(batches, count))


def bare(trainer: Trainer, draws: Sequence[TrainingDraw]) -> float:
    """Seconds a step of nothing else."""
    trainer.step, begun = 0, time.perf_counter()
    for draw in draws:
        trainer._train_step(draw)
        trainer.step += 1
    return (time.perf_counter() - begun) / len(draws)


def whole(trainer: Trainer, draws: Sequence[TrainingDraw]) -> float:
    """Seconds a step as the training process does it, its lines written to the run's log."""
    trainer.step, trainer.interval = 0, Interval(0)
    with (
        contextlib.closing(RunLog(trainer.run, 0)) as log,
        contextlib.closing(Progress(ENDLESS, 0, "overhead")) as progress,
        trainer.run.log_path.open("a", buffering=1) as printed,
        contextlib.redirect_stdout(printed),
    ):
        begun = time.perf_counter()
        with contextlib.suppress(StopIteration):
            trainer._fit(iter(draws), log, progress)
        return (time.perf_counter() - begun) / len(draws)


def overhead(folder: Path, steps: int, repeats: int) -> dict:
    """The ratio of each pair, whichever of the two came first; the follower sleeps while the bare steps are done."""
    trainer = trainer_of(folder / "run")
    draws = drawn(trainer, steps)
    with owned(trainer.run.folder):
        command = [sys.executable, "-c", f"{FOLLOW}train(Run.open(sys.argv[1]))", str(trainer.run.folder)]
        follower = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def bare_alone(*arguments: object) -> float:
            follower.send_signal(signal.SIGSTOP)
            seconds = bare(*arguments)
            follower.send_signal(signal.SIGCONT)
            return seconds

        try:
            time.sleep(20)  # it imports torch meanwhile
            bare(trainer, draws[:4])
            pairs = []
            for repeat in range(repeats):
                order = [bare_alone, whole] if repeat % 2 else [whole, bare_alone]
                seconds = {measured: measured(trainer, draws) for measured in order}
                pairs.append((seconds[bare_alone], seconds[whole]))
            followed = follower.poll() is None
        finally:
            follower.kill()
            follower.wait()
    return {
        "steps_a_run": steps,
        "log_every": trainer.config.training.log_every,
        "followed": followed,
        "bare_seconds_per_step": spread([one for one, _ in pairs]),
        "whole_seconds_per_step": spread([one for _, one in pairs]),
        "ratio": spread([with_all / alone for alone, with_all in pairs]),
    }


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


def growth(folder: Path, steps: int, repeats: int) -> dict:
    """One row a quantity and factor, at the demo's own in all others, measured in turn: rows are compared."""
    cases = {"base": ("rays", 1)}
    cases |= {f"{quantity} ×{factor}": (quantity, factor) for quantity in QUANTITIES for factor in (2, 4)}
    made = {name: grown(folder / name, quantity, factor, steps) for name, (quantity, factor) in cases.items()}
    seconds: dict[str, list[float]] = {name: [] for name in made}
    for trainer, draws in made.values():
        bare(trainer, draws[:2])
    for _ in range(repeats):
        for name, (trainer, draws) in made.items():
            seconds[name].append(bare(trainer, draws))
    trainer, draws = made["base"]
    references, model = draws[0].batch.references, trainer.config.model
    height, width = references.image_size
    base = {"rays": trainer.config.data.rays, "views": len(references), "image": f"{width}×{height}"}
    rows = {
        name: {"seconds_per_step": spread(measured), "steps_per_second": 1 / statistics.median(measured)}
        for name, measured in seconds.items()
    }
    return {"base": base | {"samples": f"{model.coarse_samples} + {model.fine_samples}"}, "rows": rows}


def grown(folder: Path, quantity: str, factor: int, steps: int) -> tuple[Trainer, list[TrainingDraw]]:
    """A training and its batches with so many times the demo's rays, views (repeated), samples or pixels (tiled)."""
    base = load_config("pretrain", "demo")
    settings = {
        "rays": {"data__rays": base.data.rays * factor},
        "samples": {
            "model__coarse_samples": base.model.coarse_samples * factor,
            "model__fine_samples": base.model.fine_samples * factor,
        },
    }
    trainer = trainer_of(folder, **settings.get(quantity, {}))
    change = {"views": repeated, "pixels": tiled}.get(quantity, lambda views, _factor: views)
    return trainer, [with_references(draw, change, factor) for draw in drawn(trainer, steps)]


def with_references(draw: TrainingDraw, change: Callable[[Views, int], Views], factor: int) -> TrainingDraw:
    """The draw with other reference views."""
    batch = draw.batch
    return TrainingDraw(SceneBatch(batch.query, change(batch.references, factor), batch.pixels_xy), draw.origin)


def repeated(views: Views, factor: int) -> Views:
    """Each view so many times."""
    parts = {field.name: getattr(views, field.name) for field in fields(views)}
    return views.replace(**{name: torch.cat([part] * factor) for name, part in parts.items() if part is not None})


def tiled(views: Views, factor: int) -> Views:
    """So many times the pixels."""
    tiles = (1, 1, 2, factor // 2)
    return views.replace(images=views.images.repeat(tiles), depths=views.depths.repeat(tiles))


def main() -> None:
    """Measure, print, keep each part in runs/benchmarks/."""
    parts = {"overhead": overhead, "checkpoint": checkpoint, "scaling": scaling, "growth": growth}
    parser = argparse.ArgumentParser(description="Measure training at the demo's size.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; default: all")
    parser.add_argument("--steps", type=int, default=40, help="of each run")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    for name in arguments.parts or parts:
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            measured = parts[name](Path(folder), arguments.steps, arguments.repeats)
        result = {
            "machine": f"{os.cpu_count()} × {processor_name()}",
            "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
            "date": time.strftime("%Y-%m-%d"),
            "repeats": arguments.repeats,
            **measured,
        }
        write_json(Path(RUNS) / "benchmarks" / f"training_{name}.json", result)
        print(f"== {name}")
        table(result)


if __name__ == "__main__":
    main()
