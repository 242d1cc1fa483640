"""Run folders: what a training or evaluation was asked for, what made it, and what came out."""

from maskrf_core.runs.run import MAY_DIFFER, Run, differing_settings
from maskrf_core.runs.status import TrainingStatus
from maskrf_core.runs.table import diff, table

__all__ = ["MAY_DIFFER", "Run", "TrainingStatus", "diff", "differing_settings", "table"]
