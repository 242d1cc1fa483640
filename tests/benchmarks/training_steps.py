"""Training steps to be timed, at the demo's size."""

import contextlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from maskrf_core.datasets.batches.training_views import TrainingDraw
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.training.trainer import Trainer

ENDLESS = 10**6


def trainer_of(folder: Path, **settings: object) -> Trainer:
    """Make a pretraining that neither validates nor saves by itself, with the masked terms from the first step on."""
    quiet = {"training.steps": ENDLESS, "training.validate_every": ENDLESS, "training.checkpoint_every": ENDLESS}
    fixed = quiet | {"masking.start_step": 0, "hardware.device": "cpu"}
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
