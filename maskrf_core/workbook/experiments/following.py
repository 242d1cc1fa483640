"""Training from a cell: in a process of its own, which the cell starts or finds, and which outlives it."""

import time
from collections.abc import Callable
from pathlib import Path

from IPython.display import display

from maskrf_core.model.aggregators.contract import check_other_process_has_aggregator
from maskrf_core.model.masking.strategies import check_other_process_has
from maskrf_core.model.renderer import Renderer
from maskrf_core.runs import Run
from maskrf_core.runs.status import is_owned
from maskrf_core.support.errors import MaskrfError
from maskrf_core.support.paths import display_path
from maskrf_core.support.progress import in_watched_notebook
from maskrf_core.training.process.protocol import signals_heard
from maskrf_core.training.process.training_process import TrainingProcess
from maskrf_core.training.saved_states import is_done, steps_done
from maskrf_core.workbook.experiments.live_training import SECONDS_BETWEEN_LOOKS, LiveTraining

SECONDS_TO_SAVE = 600.0
_shown: dict[Path, LiveTraining] = {}  # by run folder: a cell that is run again shows the same one again


class WaitInterrupted(MaskrfError):  # noqa: N818 - nothing went wrong
    """A cell that waited for a training was interrupted, and the training goes on."""


def train(run: Run, *, here: bool = False) -> Renderer | None:
    """Train what is left of a run in a process of its own, or find the process that does.

    In an open notebook this returns at once, and shows how it goes until it ends; `wait_for` waits for the end. Where
    nobody watches, it is followed to its end; interrupting then has it save and stop. `here` trains in this process
    instead, and returns the renderer: for short experiments with what a notebook's own cells define. Interrupting the
    cell saves and stops; that training ends with the kernel.

    Raises:
        TrainingStopped: it was asked to stop, and has saved.
        RunError: it failed; with the reason and its last lines.
        SettingsError: its masking strategy or aggregator is of this notebook, and it is not to be trained `here`.
    """
    if here:
        from maskrf_core.training.trainer import fit  # first: pycolmap's log takes SIGTERM for itself

        with signals_heard():
            return fit(run)
    check_other_process_has(run.config.masking)
    check_other_process_has_aggregator(run.config.model)
    done_before = not is_owned(run.folder) and is_done(run)
    if done_before:
        print(f"{run.folder.name}: all {steps_done(run)} steps were done before", flush=True)
    if in_watched_notebook():
        if not done_before and not _process_of(run).runs():
            _shown[run.folder.resolve()] = LiveTraining(TrainingProcess.of(run))
        watch(run)
        return None
    while is_owned(run.folder) or not is_done(run):  # one that is found may have begun when fewer steps were asked for
        process = TrainingProcess.of(run)
        if process.was_found:
            print(f"{display_path(run.folder)} is being trained already: following", flush=True)
        try:
            _follow(process)
        except KeyboardInterrupt:
            save_and_stop(display_path(run.folder), process.ask_to_stop, process.runs)
            process.check_end()
            raise
        process.check_end()
    return None


def watch(run: Run) -> None:
    """Show in an open notebook how the training of a run goes, whoever began it, or how it ended; return at once."""
    place = run.folder.resolve()
    process = _process_of(run)
    if place not in _shown or _shown[place].process is not process:
        _shown[place] = LiveTraining(process)
    display(_shown[place].widget)


def wait_for(run: Run) -> None:
    """Wait until all steps of a run are done, whoever trains it; how that goes is shown where it was begun.

    A kernel that waits hears no button; what was pressed meanwhile is done when the cell has ended or is interrupted.

    Raises:
        WaitInterrupted: the cell was interrupted; the training goes on.
        TrainingStopped, RunError: the training ended before; or it was never begun.
    """
    while is_owned(run.folder) or not is_done(run):
        process, name = _process_of(run), display_path(run.folder)
        if process.runs():
            print(f"waiting for {name}; interrupt this cell to use the notebook, and its button, meanwhile", flush=True)
        try:
            while process.runs():
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except KeyboardInterrupt:
            raise WaitInterrupted(
                f"{name}: saved at step {steps_done(run)}, and its training goes on. Run the cell again to wait for "
                "it; its button saves and stops it."
            ) from None
        process.check_end()
        if not is_done(run):  # it may have begun when fewer steps were asked for
            train(run)


def _process_of(run: Run) -> TrainingProcess:
    """Return the process that this kernel began or found, as long as no other trains the run since; else that one."""
    live = _shown.get(run.folder.resolve())
    if live is not None and (live.process.runs() or not is_owned(run.folder)):
        return live.process
    return TrainingProcess.seen(run)


def _follow(process: TrainingProcess) -> None:
    """Print the lines that the process prints, until it ends."""
    goes_on = True
    while goes_on:
        goes_on = process.runs()
        if text := process.new_text():
            print(text, end="" if text.endswith("\n") else "\n", flush=True)
        time.sleep(SECONDS_BETWEEN_LOOKS if goes_on else 0)


def save_and_stop(what: str, ask_to_stop: Callable[[], None], saves: Callable[[], bool]) -> None:
    """Ask trainings to save and stop, and wait as long as that takes."""
    ask_to_stop()
    print(f"{what}: asked to save and stop", flush=True)
    until = time.monotonic() + SECONDS_TO_SAVE
    while saves() and time.monotonic() < until:
        time.sleep(SECONDS_BETWEEN_LOOKS)
