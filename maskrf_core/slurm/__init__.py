"""Trainings and notebooks as jobs of Slurm, which go on after a time limit or a preemption.

Doors: `python -m maskrf_core.slurm` in a shell; `submit_trainings`, `submit_notebook` and `wait` in a notebook. `jobs`
run on the nodes.
"""

from maskrf_core.slurm.submission import SlurmSettings, parse_slurm, submit_notebook, submit_trainings, wait

__all__ = ["SlurmSettings", "parse_slurm", "submit_notebook", "submit_trainings", "wait"]
