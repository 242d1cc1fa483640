"""The numbers of a training as it goes: metrics.csv, TensorBoard, and one readable line an interval."""

import csv
import io

import pandas as pd
from torch.utils.tensorboard import SummaryWriter

from maskrf_core.losses import TERMS
from maskrf_core.runs import Run
from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import RunError

SHOWN = {
    "train": [
        "total", "colour_fine", "depth_fine", "consistency_fine", "feature_alignment", "masked_colour",
        "seconds_per_step",
    ],
    "validation": ["coarse_psnr", "fine_psnr", "fine_ssim"],
    "test": ["coarse_psnr", "fine_psnr", "fine_ssim"],
}  # fmt: skip
"""What a line shows of a phase; metrics.csv holds everything."""
BEFORE_TERMS = ["step", "phase", "total"]
AFTER_TERMS = [
    "learning_rate", "seconds_per_step", "coarse_psnr", "coarse_ssim", "fine_psnr", "fine_ssim",
    "direct_psnr", "direct_ssim",
]  # fmt: skip


class RunLog:
    """Appends to a run's metrics; what was logged after `step`, and is about to be done again, is dropped first."""

    def __init__(self, run: Run, step: int):
        self._path = run.metrics_path
        self._columns = [*BEFORE_TERMS, *TERMS, *AFTER_TERMS]
        kept = run.metrics()
        # Where nothing was done, all is about to be done again: what is logged before the first step, too.
        whole = kept["phase"].isin(SHOWN)  # a kill may have cut the last row
        kept = kept[whole & (kept["step"] <= step) & (step > 0)].reindex(columns=self._columns)
        write_text(self._path, kept.to_csv(index=False))
        self._events = SummaryWriter(run.folder / "tensorboard", purge_step=step + 1)

    def write(self, step: int, phase: str, numbers: dict[str, float]) -> str:
        """Log one row and return its line for people."""
        unknown = numbers.keys() - set(self._columns)
        if unknown:
            raise ValueError(f"metrics without a column: {sorted(unknown)}")
        row = io.StringIO()
        csv.DictWriter(row, self._columns, lineterminator="\n").writerow({"step": step, "phase": phase, **numbers})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(row.getvalue())
        except OSError as error:
            raise RunError(
                f"{self._path}: could not be written ({error.strerror}). Make room, and start the run again: it goes "
                "on from its last checkpoint."
            ) from error
        for name, value in numbers.items():
            self._events.add_scalar(f"{phase}/{name}", value, step)
        shown = "  ".join(f"{name} {numbers[name]:.4g}" for name in SHOWN[phase] if name in numbers)
        return f"step {step:>6}  {phase:<10}  {shown}"

    def close(self) -> None:
        """Flush the TensorBoard events."""
        self._events.close()


def latest(metrics: pd.DataFrame, phase: str, name: str) -> float:
    """The newest number of a name in a phase.

    Raises:
        KeyError: none was logged.
    """
    rows = metrics[metrics["phase"] == phase].dropna(subset=[name])
    if rows.empty:
        raise KeyError(f"no {name} was logged in phase {phase}")
    return float(rows[name].iloc[-1])
