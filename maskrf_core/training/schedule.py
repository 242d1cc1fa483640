"""What depends on the step alone: the learning rate, the random numbers, and when something is due."""

import numpy as np

from maskrf_core.settings.sections import TrainingSettings

FIRST_STREAM = 0
"""Numbers of the independent random streams that a seed is split into: data, and rays and masks."""
SECOND_STREAM = 1


def learning_rate(step: int, training: TrainingSettings) -> float:
    """Halved every `halve_every` steps, down to the lowest."""
    return max(training.learning_rate * 0.5 ** (step // training.halve_every), training.lowest_learning_rate)


def stream_seed(seed: int, step: int, rank: int = 0) -> int:
    """Seed of a step's rays and masks, well mixed; that of process 0 of several is that of a process alone."""
    numbers = [seed, SECOND_STREAM, step, *([rank] if rank else [])]
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def is_due(step: int, every: int, last: int) -> bool:
    """At every `every`-th step and at the last one."""
    return step % every == 0 or step == last
