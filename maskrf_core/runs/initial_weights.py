"""Which weights a run began from, told by their content: a path alone may hold others by now."""

import hashlib
from pathlib import Path

from maskrf_core.runs.run import Run
from maskrf_core.support.errors import RunError
from maskrf_core.support.paths import display_path

NOTED_AS = "initial_weights"


def hold_to_weights(run: Run, weights: Path) -> None:
    """Note what the initial weights are, and refuse to go on from a file that has changed since.

    Raises:
        RunError: the run began from other weights.
    """
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    noted = run.results().get(NOTED_AS)
    if noted is None:
        run.record(NOTED_AS, {"file": display_path(weights), "sha256": digest})
    elif noted["sha256"] != digest:
        raise RunError(
            f"{display_path(run.folder)}: began from weights that {display_path(weights)} no longer holds; they were "
            "trained further or anew since. Delete this run folder, or choose another with the parameter run."
        )
