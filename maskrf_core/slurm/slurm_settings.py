"""What a job asks Slurm for: typed, bounded, strict, as all settings."""

from typing import Any

from pydantic import Field, ValidationError

from maskrf_core.settings.config import parse_overrides
from maskrf_core.settings.readable_errors import readable
from maskrf_core.settings.sections import Settings
from maskrf_core.support.errors import SettingsError


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
        """What `submitit.AutoExecutor.update_parameters` takes for a job of one task a node.

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
            "slurm_additional_parameters": {"requeue": True, **self._reservation()},
        }
        for option in ("account", "qos", "constraint", "gres", "nodelist", "exclude"):
            values[f"slurm_{option}"] = getattr(self, option)
        return {key: value for key, value in values.items() if value is not None}

    def _reservation(self) -> dict[str, str]:
        return {} if self.reservation is None else {"reservation": self.reservation}


def parse_slurm(text: str) -> SlurmSettings:
    """`"partition=gpu, timeout_min=600"` → settings.

    Raises:
        SettingsError: an unknown name (with the nearest one), a wrong type or a value out of range.
    """
    try:
        return SlurmSettings.model_validate(parse_overrides(text))
    except ValidationError as error:
        raise SettingsError(readable(error, SlurmSettings, "setting of Slurm")) from error
