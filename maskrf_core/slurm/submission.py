"""Submission of trainings and notebooks to Slurm, the settings of their jobs, and waiting for their end."""

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from maskrf_core.runs import Run
from maskrf_core.settings.config import parse_overrides, readable
from maskrf_core.settings.sections import Settings
from maskrf_core.slurm.jobs import Job, NotebookJob, TrainingJob
from maskrf_core.support.atomic_files import file_time
from maskrf_core.support.errors import SettingsError, SlurmError, in_short

if TYPE_CHECKING:
    import submitit

SIGNAL_DELAY = 180  # seconds between signal and time limit, where nothing else is asked for
MARGIN = 10  # seconds of the delay between signal and kill that are kept for queueing again
ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
FORGOTTEN = "no longer known to Slurm"
RESULT_PATIENCE = 20  # seconds until an ended job's result is seen, or from a job's end to the queue again
SILENCE = 300  # seconds that a controller may not answer
LAST_CHARACTERS = 3000


class SlurmSettings(Settings):
    """Resources and rules of a job. What is none is left to the cluster's own defaults."""

    partition: str | None = Field(None, description="queue to wait in")
    timeout_min: int = Field(720, ge=1, le=525_600, description="time limit, at which the job saves and queues again")
    cpus_per_task: int | None = Field(None, ge=1, le=1024, description="of a node; none: 2 for each training process")
    gpus_per_node: int | None = Field(None, ge=1, le=64, description="none: no GPU is asked for")
    mem_gb: float | None = Field(None, gt=0, allow_inf_nan=False, description="GB of memory of a node")
    array_parallelism: int = Field(64, ge=1, le=10_000, description="jobs of an array that may run at once")
    signal_delay_s: int | None = Field(None, ge=6, le=3600, description="seconds to save in; none: 180, or a tenth")
    max_timeouts: int = Field(1000, ge=0, description="time limits after which a job queues again")
    account: str | None = None
    qos: str | None = Field(None, description="quality of service")
    constraint: str | None = Field(None, description="features of nodes, such as a100")
    gres: str | None = Field(None, description="generic resources, such as gpu:a100:2, in place of gpus_per_node")
    reservation: str | None = None
    nodelist: str | None = Field(None, description="nodes to use")
    exclude: str | None = Field(None, description="nodes not to use")

    @field_validator("*")
    @classmethod
    def _one_line(cls, value: Any) -> Any:
        """Refuse what would end a comment line of the script that sbatch gets: the rest would run on the node."""
        if isinstance(value, str) and not value.isprintable():
            raise PydanticCustomError("one_line", "one line of printable characters")
        return value

    @model_validator(mode="after")
    def _signal_comes_late(self) -> "SlurmSettings":
        """Refuse a signal that submitit takes for a preemption, which it does not count: that job never ended."""
        if self.delay_s > self._tenth:
            raise ValueError(
                f"signal_delay_s={self.signal_delay_s}: must be at most {self._tenth}, a tenth of timeout_min="
                f"{self.timeout_min}. Leave it out, or ask for a longer timeout_min."
            )
        return self

    @property
    def _tenth(self) -> int:
        return self.timeout_min * 60 // 10

    @property
    def delay_s(self) -> int:
        """Return the seconds between signal and time limit."""
        return min(SIGNAL_DELAY, self._tenth) if self.signal_delay_s is None else self.signal_delay_s

    @property
    def patience_s(self) -> int:
        """Return the seconds of that delay that a job's work has to save and end."""
        return max(self.delay_s - MARGIN, self.delay_s // 2)

    def parameters(self, name: str, nodes: int = 1, devices: int = 1) -> dict[str, Any]:
        """Return the parameters of submitit for a job of one task a node; `SettingsError` if that lacks GPUs."""
        if self.gpus_per_node is not None and devices > self.gpus_per_node:
            raise SettingsError(
                f"gpus_per_node={self.gpus_per_node}: {devices} training processes of a node need one each. Ask for "
                f"gpus_per_node={devices}, or set hardware.devices={self.gpus_per_node} in a new run."
            )
        of_any_cluster = {"timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb"}
        values = self.model_dump(exclude={"max_timeouts", "reservation"}, exclude_none=True)
        values["signal_delay_s"] = self.delay_s
        values = {key if key in of_any_cluster else f"slurm_{key}": value for key, value in values.items()}
        more = {"requeue": True} | ({} if self.reservation is None else {"reservation": self.reservation})
        job = {"name": name, "nodes": nodes, "tasks_per_node": 1, "slurm_additional_parameters": more}
        return {"cpus_per_task": 2 * devices} | values | job


def parse_slurm(text: str) -> SlurmSettings:
    """Read settings like `"partition=gpu, timeout_min=600"`.

    Raises:
        SettingsError: an unknown name (with the nearest one), a wrong type or a value out of range.
    """
    try:
        return SlurmSettings.model_validate(parse_overrides(text))
    except ValidationError as error:
        raise SettingsError(readable(error, SlurmSettings, "setting of Slurm")) from error


def submit_trainings(chains: Sequence[Sequence[Path]], settings: SlurmSettings, folder: Path) -> "list[submitit.Job]":
    """Submit one job for each chain of run folders, trained one after the other; several chains are a job array.

    Nodes and processes are those of the runs' settings `hardware.num_nodes` and `hardware.devices`. Logs go to
    `folder`, which all nodes have to see.

    Raises:
        RunError: a folder holds no run.
        SettingsError: runs of different numbers of nodes or processes, or more processes than GPUs.
        SlurmError: Slurm is not there, or does not take the job, or a name is not printable.
    """
    chains = [tuple(one.resolve() for one in chain) for chain in chains]
    hardware = [Run.open(one).config.hardware for chain in chains for one in chain]
    shapes = {(each.num_nodes, each.devices) for each in hardware}
    if len(shapes) != 1:
        raise SettingsError(
            "hardware.num_nodes and hardware.devices: must be the same in all runs of a job or array, and are "
            f"{sorted(shapes)}. Submit them separately."
        )
    jobs = [TrainingJob(settings.patience_s, chain) for chain in chains]
    return _submitted(jobs, settings, folder, settings.parameters("maskrf", *shapes.pop()))


def submit_notebook(
    notebook: Path, output: Path, parameters: Mapping[str, Any], settings: SlurmSettings, folder: Path
) -> "submitit.Job":
    """Submit a job that executes a notebook. `parameters` that are text are as for `papermill -p`, others as they are.

    Raises:
        SlurmError: there is no such notebook, Slurm is not there, or does not take the job, or a name is not printable.
    """
    if not notebook.is_file():
        raise SlurmError(f"{notebook}: there is no such notebook. Check the path.")
    output.parent.mkdir(parents=True, exist_ok=True)
    job = NotebookJob(settings.patience_s, notebook.resolve(), output.resolve(), dict(parameters))
    # A notebook trains on its own node, in as many processes as its parameter says; it judges the parameter itself.
    devices = str(parameters.get("devices"))
    devices = int(devices) if devices.isdecimal() else 1
    (submitted,) = _submitted([job], settings, folder, settings.parameters(notebook.stem, 1, devices))
    return submitted


def _submitted(
    jobs: Sequence[Job], settings: SlurmSettings, folder: Path, parameters: dict[str, Any]
) -> "list[submitit.Job]":
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    for text in (str(folder.absolute()), parameters["name"]):  # they stand in the script, as the settings do
        if not text.isprintable():
            raise SlurmError(f"{text!r}: must be one line of printable characters. Rename it, or name another.")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=settings.max_timeouts)
    except RuntimeError as error:
        raise SlurmError("srun is not on this machine's PATH: submit from a node of the cluster.") from error
    executor.update_parameters(**parameters)
    jobs = [replace(job, submitted=file_time(folder)) for job in jobs]
    try:
        if len(jobs) == 1:
            return [executor.submit(jobs[0])]
        with executor.batch():
            return [executor.submit(job) for job in jobs]
    except (subprocess.CalledProcessError, FailedJobError, FailedSubmissionError) as error:
        said = str(getattr(error, "stderr", None) or error).strip()
        raise SlurmError(f"sbatch refused the job: {said}") from error


def wait(jobs: "Sequence[submitit.Job]", *, timeout: float | None = None, poll: float = 2.0) -> list[Any]:
    """Wait until all jobs have ended, and return their results in order. A job that is queued again has not ended.

    It asks Slurm's controller: submitit asks the accounting, which many clusters lack, and there waits for ever.

    Raises:
        SlurmError: jobs failed or were ended (all are named, with what they printed last), the controller does not
            answer, or `timeout` seconds are over.
    """
    start = heard = time.monotonic()
    ended_since: dict[str, float] = {}
    waiting = list(jobs)
    while waiting := [job for job in waiting if not _has_result(job)]:
        states = {job.job_id: state_of(job.job_id) for job in waiting}
        now = time.monotonic()
        if None not in states.values():
            heard = now
        for job_id, state in states.items():
            if state is not None and (state == FORGOTTEN or state.split()[0] in ENDED):
                ended_since.setdefault(job_id, now)
            else:
                ended_since.pop(job_id, None)
        if all(now - ended_since.get(job.job_id, now) > RESULT_PATIENCE for job in waiting):
            break
        if now - heard > SILENCE:
            raise SlurmError(f"Slurm's controller has not answered for {SILENCE} s; the jobs may go on without it.")
        if timeout is not None and now - start > timeout:
            listed = in_short([f"{job_id}: {state or 'unknown'}" for job_id, state in states.items()])
            raise SlurmError(f"not ended after {timeout:g} s ({listed}). They go on; `squeue` shows them.")
        time.sleep(poll)
    faults = [fault for job in jobs if (fault := _fault(job)) is not None]
    if faults:
        raise SlurmError("\n".join(faults))
    return [job.results()[0] for job in jobs]


def state_of(job_id: str) -> str | None:
    """Return `RUNNING`, `PENDING (Resources)` and so on; `FORGOTTEN` minutes after its end; none without an answer."""
    command = ["squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T %r"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if said.returncode:
        return FORGOTTEN if "Invalid job id" in said.stderr else None
    # Of a job with one number there is one line; none of one that was purged a moment ago.
    state, _, reason = said.stdout.partition("\n")[0].partition(" ")
    return FORGOTTEN if not state else state if reason in ("", "None") else f"{state} ({reason})"


def _has_result(job: "submitit.Job") -> bool:
    return all(job.task(task).paths.result_pickle.exists() for task in range(job.num_tasks))


def _fault(job: "submitit.Job") -> str | None:
    """Return why an ended job has no result, if it has none: its error, or its state and what it printed last."""
    from submitit.core.utils import UncompletedJobError

    task = job.task(0)
    if not _has_result(job):
        text = (task.stderr() or task.stdout() or "").strip()[-LAST_CHARACTERS:]
        printed = f"{task.paths.stderr} ends with\n{text}" if text else "It printed nothing."
        return f"job {job.job_id}: {state_of(job.job_id)}, without a result.\n{printed}"
    try:
        job.results()
    except UncompletedJobError as error:  # ours without the traceback, which comes between two lines of dashes
        parts = re.split(r"^-{22}$", str(error), flags=re.MULTILINE)
        trace = parts[1] if len(parts) == 3 else str(error)
        begin = max(trace.rfind("\nmaskrf_core."), 0)
        return f"job {job.job_id}: {trace[begin:].strip()}"
    return None
