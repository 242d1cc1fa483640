"""Functions of the step alone: the learning rate, the seeds of random numbers, and what is due."""

import numpy as np

from maskrf_core.settings.sections import TrainingSettings

FIRST_STREAM = 0  # numbers of the independent random streams that a seed is split into: data, and rays and masks
SECOND_STREAM = 1


def learning_rate(step: int, training: TrainingSettings) -> float:
    """Return the learning rate, which is halved every `halve_every` steps, down to the lowest."""
    return max(training.learning_rate * 0.5 ** (step // training.halve_every), training.lowest_learning_rate)


def stream_seed(seed: int, step: int, rank: int = 0) -> int:
    """Return the seed of a step's rays and masks; that of process 0 of several is that of a process alone."""
    numbers = [seed, SECOND_STREAM, step, *([rank] if rank else [])]
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def is_due(step: int, every: int, last: int) -> bool:
    """Tell whether a step is an `every`-th one or the last one."""
    return step % every == 0 or step == last
