"""The numbers of a training between two lines of its log."""

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from maskrf_core.support.errors import RunError


class MetricAverager:
    """Sums of the loss terms since the last line; `state` is what a continued training needs to write the same line."""

    def __init__(self, begun_at: int, sums: Mapping[str, float] | None = None):
        self.begun_at = begun_at
        """Steps done when the interval began."""
        self._sums = defaultdict(float, sums or {})
        self._seconds, self._steps, self._since = 0.0, 0, time.perf_counter()

    def add(self, terms: Mapping[str, float]) -> None:
        """One step is done, with these terms."""
        for name, value in terms.items():
            self._sums[name] += value
        self._seconds += time.perf_counter() - self._since
        self._steps += 1
        self.resume()

    def resume(self) -> None:
        """Do not count the time since the last step: it went into something else."""
        self._since = time.perf_counter()

    def means(self, step: int) -> dict[str, float]:
        """Mean terms up to `step`; the time of a step is that of the steps done by this process."""
        numbers = {name: value / (step - self.begun_at) for name, value in self._sums.items()}
        return numbers | {"seconds_per_step": self._seconds / self._steps}

    @property
    def state(self) -> dict[str, Any]:
        """Plain values."""
        return {"begun_at": self.begun_at, "sums": dict(self._sums)}


def check_finite(terms: Mapping[str, float], said: str, origin: str) -> None:
    """Raise `RunError`, with what is `said`, if a term of a batch from `origin` is not finite."""
    if not np.isfinite(list(terms.values())).all():
        listed = ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
        raise RunError(
            f"{said} ({listed}; {origin}). Nothing of this step was kept. Look at that batch, or lower "
            "training.learning_rate and start a new run."
        )
