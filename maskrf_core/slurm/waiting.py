"""Waiting for jobs of Slurm, by asking its controller.

`submitit` asks the accounting, which many clusters lack; there it waits for a killed job for ever.
"""

import re
import subprocess
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from maskrf_core.support.errors import SlurmError

if TYPE_CHECKING:
    import submitit
    from submitit.core.utils import UncompletedJobError

ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
FORGOTTEN = "no longer known to Slurm"
RESULT_PATIENCE = 20
"""Seconds that an ended job's result may need to be seen, or that a job may take from its end to the queue again."""
SILENCE = 300  # seconds that a controller may not answer
LAST_CHARACTERS = 3000


def wait(jobs: "Sequence[submitit.Job]", *, timeout: float | None = None, poll: float = 2.0) -> list[Any]:
    """Wait until all jobs have ended, and return their results in order. A job that is queued again has not ended.

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
            listed = ", ".join(f"{job_id}: {state or 'unknown'}" for job_id, state in states.items())
            raise SlurmError(f"not ended after {timeout:g} s ({listed}). They go on; `squeue` shows them.")
        time.sleep(poll)
    return _results(jobs)


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
    line = next(iter(said.stdout.splitlines()), "")
    state, _, reason = line.partition(" ")
    return FORGOTTEN if not state else state if reason in ("", "None") else f"{state} ({reason})"


def _has_result(job: "submitit.Job") -> bool:
    return all(job.task(task).paths.result_pickle.exists() for task in range(job.num_tasks))


def _results(jobs: "Sequence[submitit.Job]") -> list[Any]:
    from submitit.core.utils import UncompletedJobError

    results, faults = [], []
    for job in jobs:
        if not _has_result(job):
            faults.append(f"job {job.job_id}: {state_of(job.job_id)}, without a result.\n{_printed(job)}")
            continue
        try:
            results.append(job.results()[0])
        except UncompletedJobError as error:
            faults.append(f"job {job.job_id}: {_cause(error)}")
    if faults:
        raise SlurmError("\n".join(faults))
    return results


def _cause(error: "UncompletedJobError") -> str:
    """Return the error of the job: ours without the traceback, which submitit sends between two lines of dashes."""
    parts = re.split(r"^-{22}$", str(error), flags=re.MULTILINE)
    trace = parts[1] if len(parts) == 3 else str(error)
    return trace[max(trace.rfind("\nmaskrf_core."), 0) :].strip()


def _printed(job: "submitit.Job") -> str:
    text = (job.task(0).stderr() or job.task(0).stdout() or "").strip()
    return f"{job.task(0).paths.stderr} ends with\n{text[-LAST_CHARACTERS:]}" if text else "It printed nothing."
