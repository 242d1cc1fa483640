"""Metrics of a training: means over an interval, written to metrics.csv, TensorBoard, and a readable line."""

import csv
import io
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from maskrf_core.losses import TERMS
from maskrf_core.runs import Run
from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import RunError

if TYPE_CHECKING:
    import pandas as pd

SHOWN = (
    "total", "colour_fine", "depth_fine", "consistency_fine", "feature_alignment", "masked_colour", "masked_feature",
    "seconds_per_step", "coarse_psnr", "fine_psnr", "fine_ssim",
)  # fmt: skip
"""Numbers that a line for people shows where they are there; metrics.csv holds all."""
BEFORE_TERMS = ["step", "phase", "total"]
AFTER_TERMS = [
    "learning_rate", "seconds_per_step", "coarse_psnr", "coarse_ssim", "fine_psnr", "fine_ssim", "direct_psnr",
    "direct_ssim", "fine_psnr_by_scene",
]  # fmt: skip


class RunLog:
    """The metrics of a run, to append to; what was logged after `step`, and is about to be done again, is dropped."""

    def __init__(self, run: Run, step: int):
        from torch.utils.tensorboard import SummaryWriter  # of use to a training only, and takes its time

        self._path = run.metrics_path
        # Where nothing was done, all is about to be done again: what is logged before the first step, too.
        kept = [row for row in run.metric_rows() if step > 0 and int(row["step"]) <= step]
        self._columns = [*BEFORE_TERMS, *TERMS, *AFTER_TERMS]
        header = {name: name for name in self._columns}
        write_text(self._path, self._as_csv([header, *({name: row.get(name) for name in header} for row in kept)]))
        self._events = SummaryWriter(run.folder / "tensorboard", purge_step=step + 1)

    def write(self, step: int, phase: str, numbers: Mapping[str, float | dict[str, float]]) -> str:
        """Log one row and return its line for people; numbers by scene are written as JSON."""
        written = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in numbers.items()}
        row = self._as_csv([{"step": step, "phase": phase, **written}])
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(row)
        except OSError as error:
            raise RunError(
                f"{self._path}: could not be written ({error.strerror}). Make room and start the run again: it goes on."
            ) from error
        for name, value in numbers.items():
            if not isinstance(value, dict):
                self._events.add_scalar(f"{phase}/{name}", value, step)
        shown = "  ".join(f"{name} {numbers[name]:.4g}" for name in SHOWN if name in numbers)
        return f"step {step:>6}  {phase:<10}  {shown}"

    def close(self) -> None:
        """Write out the TensorBoard events."""
        self._events.close()

    def _as_csv(self, rows: Iterable[Mapping[str, object]]) -> str:
        """Write rows as lines of metrics.csv; `ValueError` names what has no column there."""
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


class MetricAverager:
    """Mean loss terms since the last row; with `state`, a training that is continued writes the same row.

    A term that not all steps have, as depth of some data sets, is averaged over those that have it.
    """

    def __init__(self, sums: Mapping[str, float] | None = None, counts: Mapping[str, int] | None = None):
        self._sums, self._counts = defaultdict(float, sums or {}), Counter(counts)
        self._seconds, self._steps, self._since = 0.0, 0, time.perf_counter()

    def add(self, terms: Mapping[str, float]) -> None:
        """Count one step as done, with these terms."""
        for name, value in terms.items():
            self._sums[name] += value
            self._counts[name] += 1
        self._seconds += time.perf_counter() - self._since
        self._steps += 1

    def resume(self) -> None:
        """Begin to count time anew: that since the last step went into something else."""
        self._since = time.perf_counter()

    def means(self) -> dict[str, float]:
        """Return mean terms; the time of a step is that of the steps done by this process."""
        numbers = {name: value / self._counts[name] for name, value in self._sums.items()}
        return numbers | {"seconds_per_step": self._seconds / self._steps}

    @property
    def state(self) -> dict[str, Any]:
        """Return the sums so far as plain values."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}


def latest(metrics: "pd.DataFrame", phase: str, name: str) -> float:
    """Return the newest number of a name in a phase; `KeyError` where none was logged."""
    rows = metrics[metrics["phase"] == phase].dropna(subset=[name])
    if rows.empty:
        raise KeyError(f"no {name} was logged in phase {phase}")
    return float(rows[name].iloc[-1])


def latest_by_scene(metrics: "pd.DataFrame") -> dict[str, float]:
    """Return the fine PSNR [dB] of each scene in the newest validation; nothing where the log does not have it."""
    written = metrics.reindex(columns=["fine_psnr_by_scene"])["fine_psnr_by_scene"].dropna()
    return json.loads(written.iloc[-1]) if len(written) else {}
