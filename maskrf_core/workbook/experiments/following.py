"""Training from a cell: in a process of its own, which the cell starts or finds, and follows."""

import time
from collections.abc import Callable

import ipywidgets
from IPython.display import display

from maskrf_core.model.masking.strategies import check_other_process_has
from maskrf_core.model.renderer import Renderer
from maskrf_core.runs import Run
from maskrf_core.runs.status import is_owned
from maskrf_core.support.paths import display_path
from maskrf_core.support.progress import Progress, someone_watches
from maskrf_core.training.process.protocol import signals_heard
from maskrf_core.training.process.training_process import TrainingProcess
from maskrf_core.training.saved_states import is_done, steps_done
from maskrf_core.workbook.figures import png_of
from maskrf_core.workbook.figures.plots import loss_curves

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_PLOTS = 5.0
SECONDS_TO_SAVE = 600.0


def train(run: Run, *, here: bool = False) -> Renderer | None:
    """Train what is left of a run in a process of its own, and follow it to its end.

    `here` trains in this process instead, and returns the renderer: for short experiments with what a notebook's own
    cells define. Interrupting the cell then saves and stops; the training ends with the kernel.

    A process that trains the run already is followed. Interrupting the cell leaves the process running in an open
    notebook, with a button to stop it; where nobody watches, it is asked to save and stop.

    Raises:
        TrainingStopped: it was asked to stop, and has saved.
        RunError: it failed; with the reason and its last lines.
        SettingsError: its masking strategy is a function of this notebook, and it is not to be trained `here`.
    """
    if here:
        from maskrf_core.training.trainer import fit  # first: pycolmap's log takes SIGTERM for itself

        with signals_heard():
            return fit(run)
    check_other_process_has(run.config.masking)
    if not is_owned(run.folder) and is_done(run):
        print(f"{run.folder.name}: all {steps_done(run)} steps were done before", flush=True)
    while is_owned(run.folder) or not is_done(run):  # one that is found may have begun when fewer steps were asked for
        process = TrainingProcess.of(run)
        if process.was_found:
            print(f"{display_path(run.folder)} is being trained already: following", flush=True)
        try:
            _follow(process)
        except KeyboardInterrupt:
            leave_the_choice(display_path(run.folder), process.ask_to_stop, process.runs)
            raise
        process.check_end()
    return None


def _follow(process: TrainingProcess) -> None:
    """Show the process until it ends: bar and plot if someone watches, else the lines that it prints."""
    watched = _Watched(process.run) if someone_watches() else None
    goes_on = True
    try:
        while goes_on:
            goes_on = process.runs()
            if watched is not None:
                watched.update(process)
            elif text := process.new_text():
                print(text, end="" if text.endswith("\n") else "\n", flush=True)
            time.sleep(SECONDS_BETWEEN_LOOKS if goes_on else 0)
    finally:
        if watched is not None:
            watched.close()


class _Watched:
    """A bar of the steps, the newest line, and a plot of the losses that is drawn anew every few seconds."""

    def __init__(self, run: Run):
        self._run, self._done, self._plotted, self._rows = run, steps_done(run), 0.0, 0
        self._bar = Progress(run.config.training.steps, self._done, run.folder.name)
        self._plot = ipywidgets.Image(format="png")
        display(self._plot)

    def update(self, process: TrainingProcess) -> None:
        status = process.status
        if status is not None and process.runs() and status.step > self._done:
            self._bar.advance(status.step - self._done)
            self._done = status.step
        for line in process.new_text().splitlines():
            self._bar.line(line)
        if time.monotonic() - self._plotted > SECONDS_BETWEEN_PLOTS:
            self._draw()

    def _draw(self) -> None:
        self._plotted = time.monotonic()
        metrics = self._run.metrics()
        if (metrics["phase"] == "train").sum() > 1 and len(metrics) != self._rows:
            self._rows = len(metrics)
            self._plot.value = png_of(loss_curves(metrics))

    def close(self) -> None:
        self._draw()
        self._bar.close()


def leave_the_choice(what: str, ask_to_stop: Callable[[], None], saves: Callable[[], bool]) -> None:
    """After an interrupt, offer a button to who watches; where nobody does, ask to stop and wait while it `saves`."""
    if someone_watches():
        button = ipywidgets.Button(description="save and stop", icon="stop")

        def pressed(_) -> None:
            ask_to_stop()
            button.disabled, button.description = True, "asked to stop"

        button.on_click(pressed)
        print(f"{what}: training goes on. Run this cell again to follow it, or stop it:", flush=True)
        display(button)
        return
    ask_to_stop()
    print(f"{what}: asked to save and stop", flush=True)
    until = time.monotonic() + SECONDS_TO_SAVE
    while saves() and time.monotonic() < until:
        time.sleep(SECONDS_BETWEEN_LOOKS)
