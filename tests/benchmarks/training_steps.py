"""Training steps to be timed, at the demo's size."""

import contextlib
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from maskrf_core.datasets.batches.training_views import TrainingDraw
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.training.trainer import Trainer

ENDLESS = 10**6


def trainer_of(folder: Path, **settings: object) -> Trainer:
    """Of a pretraining that neither validates nor saves by itself, with the masked terms from the first step on."""
    quiet = {"training.steps": ENDLESS, "training.validate_every": ENDLESS, "training.checkpoint_every": ENDLESS}
    fixed = quiet | {"masking.start_step": 0, "hardware.device": "cpu"}
    return Trainer(Run.start(folder, load_config("pretrain", "demo", fixed | settings)))


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
