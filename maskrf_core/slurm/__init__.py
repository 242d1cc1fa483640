"""Trainings and notebooks as jobs of Slurm, which go on after a time limit or a preemption.

`python -m maskrf_core.slurm` submits them from a shell; `submission` and `waiting` do so from a notebook.
"""

from maskrf_core.slurm.slurm_settings import SlurmSettings, parse_slurm
from maskrf_core.slurm.submission import submit_notebook, submit_trainings
from maskrf_core.slurm.waiting import wait

__all__ = ["SlurmSettings", "parse_slurm", "submit_notebook", "submit_trainings", "wait"]
