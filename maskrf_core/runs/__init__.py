"""Run folders: what a training or evaluation was asked for, what made it, and what came out."""

from maskrf_core.runs.run import Run, differing_settings
from maskrf_core.runs.status import TrainingStatus
from maskrf_core.runs.table import diff, table

__all__ = ["Run", "TrainingStatus", "diff", "differing_settings", "table"]
