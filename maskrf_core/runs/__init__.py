"""Run folders: what a training or evaluation was asked for, what made it, and what came out.

Doors: `Run` (open or start one), `table` and `diff` (runs beside each other). `status` has the lock and the status of a
training, `log` its metrics, `provenance` what made the run and what it cost.
"""

from maskrf_core.runs.run import Run, differing_settings
from maskrf_core.runs.status import TrainingStatus
from maskrf_core.runs.table import diff, table

__all__ = ["Run", "TrainingStatus", "diff", "differing_settings", "table"]
