"""What changes from step to step: the learning rate, the random numbers, and when what is masked begins to count."""

from typing import NamedTuple

import numpy as np

from maskrf_core.losses import ramp
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import TrainingSettings

FIRST_STREAM, SECOND_STREAM = 0, 1  # of the independent random streams of a seed: data, and rays and masks


def learning_rate(step: int, training: TrainingSettings, steps_before: int = 0) -> float:
    """Return the learning rate, which is halved every `halve_every` steps, down to the lowest.

    The `steps_before` the first one count too where the schedule is to continue.
    """
    step += steps_before if training.schedule == "continue" else 0
    return max(training.learning_rate * 0.5 ** (step // training.halve_every), training.lowest_learning_rate)


def stream_seed(seed: int, step: int, rank: int = 0) -> int:
    """Return the seed of a step's rays and masks; that of process 0 of several is that of a process alone."""
    numbers = [seed, SECOND_STREAM, step, *([rank] if rank else [])]
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


class MaskingSchedule(NamedTuple):
    """When what masked features predict begins to count, in steps, and how fast its target follows."""

    start: int
    warmup: int
    decay: float  # share of itself that the target projector keeps in a step: 0.99 as published
    weight: float

    def weight_at(self, step: int) -> float:
        """Return the weight at a step of what masked features predict: λ times its ramp."""
        return self.weight * ramp(step, start=self.start, warmup=self.warmup)


def masking_schedule(config: Config) -> MaskingSchedule:
    """Turn the shares of the config into steps, so that a short run does in small what the published one does."""
    masking = config.masking
    steps = masking.of_steps or config.training.steps
    start, warmup = round(masking.start * steps), round(masking.warmup * steps)
    return MaskingSchedule(start, warmup, 1 - 1 / max(1.0, masking.target_memory * steps), masking.weight)
