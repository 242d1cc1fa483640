"""Handing trainings and notebooks to Slurm."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from maskrf_core.runs import Run
from maskrf_core.slurm.jobs import Job, NotebookJob, TrainingJob
from maskrf_core.slurm.slurm_settings import SlurmSettings
from maskrf_core.support.errors import SettingsError, SlurmError

MARGIN = 10
"""Seconds of the delay between signal and kill that are kept for queueing again."""


def submit_trainings(
    chains: Sequence[Sequence[Path]], settings: SlurmSettings, folder: Path, *, name: str = "maskrf"
) -> list[submitit.Job]:
    """One job for each chain of run folders, trained one after the other; several chains are a job array.

    Nodes and processes are those of the runs' settings `hardware.num_nodes` and `hardware.devices`. Logs go to
    `folder`, which all nodes have to see.

    Raises:
        RunError: a folder holds no run.
        SettingsError: runs of different numbers of nodes or processes, or more processes than GPUs.
        SlurmError: Slurm is not there, or does not take the job.
    """
    runs = [Run.open(one.resolve()) for chain in chains for one in chain]
    shapes = {(run.config.hardware.num_nodes, run.config.hardware.devices) for run in runs}
    if len(shapes) != 1:
        raise SettingsError(
            "hardware.num_nodes and hardware.devices: must be the same in all runs of a job or array, and are "
            f"{sorted(shapes)}. Submit them separately."
        )
    ((nodes, devices),) = shapes
    folders = [tuple(one.resolve() for one in chain) for chain in chains]
    jobs = [TrainingJob(settings.signal_delay_s - MARGIN, chain) for chain in folders]
    return _submitted(jobs, settings, folder, settings.parameters(name, nodes, devices))


def submit_notebook(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any],
    settings: SlurmSettings,
    folder: Path,
    *,
    name: str | None = None,
) -> submitit.Job:
    """A job that executes a notebook; `parameters` are as for `papermill -p` where they are text, else as they are.

    Raises:
        SlurmError: there is no such notebook, Slurm is not there, or does not take the job.
    """
    if not notebook.is_file():
        raise SlurmError(f"{notebook}: there is no such notebook. Check the path.")
    output.parent.mkdir(parents=True, exist_ok=True)
    patience = settings.signal_delay_s - MARGIN
    job = NotebookJob(patience, notebook.resolve(), output.resolve(), dict(parameters))
    # A notebook trains on its own node, in as many processes as its parameter says; it judges the parameter itself.
    devices = str(parameters.get("devices"))
    devices = int(devices) if devices.isdecimal() else 1
    (submitted,) = _submitted([job], settings, folder, settings.parameters(name or notebook.stem, 1, devices))
    return submitted


def _submitted(
    jobs: Sequence[Job], settings: SlurmSettings, folder: Path, parameters: dict[str, Any]
) -> list[submitit.Job]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=settings.max_timeouts)
    except RuntimeError as error:
        raise SlurmError("srun is not on this machine's PATH: submit from a node of the cluster.") from error
    executor.update_parameters(**parameters)
    try:
        if len(jobs) == 1:
            return [executor.submit(jobs[0])]
        with executor.batch():
            return [executor.submit(job) for job in jobs]
    except (CalledProcessError, FailedJobError, FailedSubmissionError) as error:
        said = str(getattr(error, "stderr", None) or error).strip()
        raise SlurmError(f"sbatch refused the job: {said}") from error
