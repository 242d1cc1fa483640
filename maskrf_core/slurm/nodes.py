"""Where in a job a task is, and how the nodes of a job find each other."""

import time
from dataclasses import dataclass
from pathlib import Path

from submitit import JobEnvironment

LOWEST_PORT, PORTS = 20_000, 10_000
"""Of rendezvous: below those that systems hand out by themselves. The job's number chooses."""


@dataclass(frozen=True)
class Place:
    """A task of a job: one a node."""

    job_id: str
    """As people see it, `12_3` in an array."""
    rank: int
    host: str
    first_host: str
    port: int
    folder: Path
    """Where the job's logs and results are."""
    result_of_first: Path
    """A file that is there once the first task has ended for good."""

    @staticmethod
    def here() -> "Place":
        """Of this process, from the environment that Slurm gave it."""
        job = JobEnvironment()
        first = job.paths.result_pickle.with_name(f"{job.job_id}_0_result.pkl")
        port = LOWEST_PORT + int(job.raw_job_id) % PORTS
        return Place(job.job_id, job.global_rank, job.hostname, job.hostnames[0], port, job.paths.folder, first)

    def wait_for_the_end(self, seconds: float) -> None:
        """Give Slurm time to end this process; return where it does not, or where the first task has failed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not (self.rank > 0 and self.result_of_first.exists()):
            time.sleep(0.5)


def torchrun_options(place: Place, nodes: int) -> list[str]:
    """How torchrun on this node meets that of the others: on the job's first node, at a port of the job's own."""
    return [
        f"--nnodes={nodes}",
        f"--node-rank={place.rank}",
        f"--master-addr={place.first_host}",
        f"--master-port={place.port}",
    ]
