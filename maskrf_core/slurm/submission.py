"""Submission of trainings and notebooks to Slurm, and the settings of their jobs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from maskrf_core.runs import Run
from maskrf_core.settings.config import parse_overrides
from maskrf_core.settings.readable_errors import readable
from maskrf_core.settings.sections import Settings
from maskrf_core.slurm.jobs import Job, NotebookJob, TrainingJob
from maskrf_core.support.errors import SettingsError, SlurmError

if TYPE_CHECKING:
    import submitit

MARGIN = 10  # seconds of the delay between signal and kill that are kept for queueing again


class SlurmSettings(Settings):
    """Resources and rules of a job. What is none is left to the cluster's own defaults."""

    partition: str | None = Field(None, description="queue to wait in")
    timeout_min: int = Field(
        720, ge=1, le=525_600, description="minutes after which the job saves and queues again; its time limit"
    )
    cpus_per_task: int | None = Field(
        None, ge=1, le=1024, description="of a node; none: two for each training process, which has a data worker"
    )
    gpus_per_node: int | None = Field(None, ge=1, le=64, description="none: no GPU is asked for")
    mem_gb: float | None = Field(None, gt=0, allow_inf_nan=False, description="GB of memory of a node")
    array_parallelism: int = Field(64, ge=1, le=10_000, description="jobs of an array that may run at once")
    signal_delay_s: int = Field(
        180, ge=20, le=3600, description="seconds before the time limit at which a job begins to save"
    )
    max_timeouts: int = Field(
        1000, ge=0, description="time limits after which a job queues again; preemptions do not count"
    )
    account: str | None = None
    qos: str | None = Field(None, description="quality of service")
    constraint: str | None = Field(None, description="features of nodes, such as a100")
    gres: str | None = Field(None, description="generic resources, such as gpu:a100:2, in place of gpus_per_node")
    reservation: str | None = None
    nodelist: str | None = Field(None, description="nodes to use")
    exclude: str | None = Field(None, description="nodes not to use")

    def parameters(self, name: str, nodes: int = 1, devices: int = 1) -> dict[str, Any]:
        """Return what `submitit.AutoExecutor.update_parameters` takes for a job of one task a node.

        Raises:
            SettingsError: more training processes a node than GPUs.
        """
        if self.gpus_per_node is not None and devices > self.gpus_per_node:
            raise SettingsError(
                f"gpus_per_node={self.gpus_per_node}: {devices} training processes of a node need one each. Ask for "
                f"gpus_per_node={devices}, or set hardware.devices={self.gpus_per_node} in a new run."
            )
        values = {
            "name": name,
            "nodes": nodes,
            "tasks_per_node": 1,
            "timeout_min": self.timeout_min,
            "cpus_per_task": self.cpus_per_task or 2 * devices,
            "gpus_per_node": self.gpus_per_node,
            "mem_gb": self.mem_gb,
            "slurm_partition": self.partition,
            "slurm_array_parallelism": self.array_parallelism,
            "slurm_signal_delay_s": self.signal_delay_s,
            "slurm_additional_parameters": {"requeue": True},
        }
        if self.reservation is not None:  # submitit has no parameter of its own for it
            values["slurm_additional_parameters"]["reservation"] = self.reservation
        for option in ("account", "qos", "constraint", "gres", "nodelist", "exclude"):
            values[f"slurm_{option}"] = getattr(self, option)
        return {key: value for key, value in values.items() if value is not None}


def parse_slurm(text: str) -> SlurmSettings:
    """Read settings like `"partition=gpu, timeout_min=600"`.

    Raises:
        SettingsError: an unknown name (with the nearest one), a wrong type or a value out of range.
    """
    try:
        return SlurmSettings.model_validate(parse_overrides(text))
    except ValidationError as error:
        raise SettingsError(readable(error, SlurmSettings, "setting of Slurm")) from error


def submit_trainings(
    chains: Sequence[Sequence[Path]], settings: SlurmSettings, folder: Path, *, name: str = "maskrf"
) -> "list[submitit.Job]":
    """Submit one job for each chain of run folders, trained one after the other; several chains are a job array.

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
) -> "submitit.Job":
    """Submit a job that executes a notebook. `parameters` that are text are as for `papermill -p`, others as they are.

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
) -> "list[submitit.Job]":
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

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
