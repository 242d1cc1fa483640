"""A training as an open notebook shows it: its phase, losses, validation and log, fed by a thread until it ends."""

import time
from collections.abc import Iterator
from html import escape
from threading import Thread

import ipywidgets
import pandas as pd

from maskrf_core.runs import Run
from maskrf_core.support.errors import MaskrfError
from maskrf_core.training.process.protocol import TrainingStopped, last_lines
from maskrf_core.training.process.training_process import TrainingProcess
from maskrf_core.training.saved_states import steps_done
from maskrf_core.training.validation_pictures import kept_pictures
from maskrf_core.workbook.figures.parts_of_pages import duration, html_of, picture
from maskrf_core.workbook.figures.plots import loss_curves

SECONDS_BETWEEN_LOOKS = 0.5
PICTURES = 5  # of the validations, spread evenly from the first to the newest
LOG_LINES = 200
LOG_BOX = "max-height: 11em; overflow: auto; display: flex; flex-direction: column-reverse"  # it shows its end
LOG_TEXT = "flex: none; margin: 0; white-space: pre"


class LiveTraining:
    """The widgets of one training process. They stay as they are when it has ended."""

    def __init__(self, process: TrainingProcess):
        self.process = process
        self._run, self._rows, self._seen = process.run, -1, None
        self._metrics = pd.DataFrame()
        self._said, self._pictures, self._log = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self._bar = ipywidgets.IntProgress(max=self._run.config.training.steps, layout={"width": "100%"})
        self._stop = ipywidgets.Button(description="save and stop", icon="stop")
        self._stop.on_click(self._ask_to_stop)
        head = ipywidgets.HBox([self._bar, self._stop])
        self.widget = ipywidgets.VBox([self._said, head, self._pictures, self._log])
        self._look()
        Thread(target=self._feed, name=f"shows {self._run.folder.name}", daemon=True).start()

    def _feed(self) -> None:
        try:
            while self._look():
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except Exception as error:  # the training itself is not touched by that
            self._said.value = f"<b>This view broke off</b> ({escape(str(error))}); train(run) makes another."
            raise

    def _look(self) -> bool:
        """Show how it stands now, and return whether it goes on."""
        goes_on = self.process.runs()  # first: what is read afterwards is then the end of what has ended
        if changed := self._seen != (seen := _state_of_files(self._run)):
            self._seen, self._metrics = seen, self._run.metrics()
        metrics = self._metrics
        said = _how_it_goes(self.process, metrics) if goes_on else self._how_it_ended()
        self._said.value = f"<b>{escape(self._run.folder.name)}</b> · {said}{_last_validation(metrics)}"
        status = self.process.status
        self._bar.value = status.step if status is not None else 0
        if not goes_on:
            self._stop.layout.display = "none"
        if changed:
            log = escape(last_lines(self._run.log_path, LOG_LINES))
            self._log.value = f"<div style='{LOG_BOX}'><pre style='{LOG_TEXT}'>{log}</pre></div>"
        if len(metrics) != self._rows:
            self._rows = len(metrics)
            self._pictures.value = "".join([*_drawn_losses(metrics), *_validation_strip(self._run)])
        return goes_on

    def _how_it_ended(self) -> str:
        status = self.process.status
        if status is None and self.process.was_found:
            return f"step {steps_done(self._run)} of {self._bar.max}, and nothing trains it: train(run) does"
        try:
            self.process.raise_unless_done()
        except TrainingStopped:
            return f"stopped: saved at step {steps_done(self._run)} of {self._bar.max}. train(run) goes on from there"
        except MaskrfError as error:
            self._bar.bar_style = "danger"
            return f"<b>failed</b>: {escape(str(error).splitlines()[0])}"
        self._bar.bar_style = "success"
        return f"done: all {status.steps} steps"

    def _ask_to_stop(self, _button: object) -> None:
        self.process.ask_to_stop()
        self._stop.disabled, self._stop.description = True, "saving"


def _how_it_goes(process: TrainingProcess, metrics: pd.DataFrame) -> str:
    """Say phase and step and, as far as steps have been timed, what time they will take yet, without validations."""
    status = process.status
    if status is None or status.state == "starting":
        return "starting: libraries and data are loaded"
    said = f"{status.state} · step {status.step} of {status.steps}"
    seconds = metrics.get("seconds_per_step", pd.Series(dtype=float)).dropna()
    if seconds.empty:
        return said
    return f"{said} · {duration(seconds.iloc[-1] * (status.steps - status.step))} of training left"


def _last_validation(metrics: pd.DataFrame) -> str:
    rows = metrics[metrics["phase"] != "train"]
    if rows.empty:
        return ""
    newest = rows.iloc[-1]
    return f" · {newest['phase']} at step {newest['step']}: {newest['fine_psnr']:.2f} dB"


def _drawn_losses(metrics: pd.DataFrame) -> Iterator[str]:
    if (metrics["phase"] == "train").sum() < 2:
        yield "<p>The losses are drawn from the second line of the log on.</p>"
        return
    figure = loss_curves(metrics)
    yield f"<div>{html_of(figure, figure.get_suptitle())}</div>"


def _validation_strip(run: Run) -> Iterator[str]:
    """Yield the first view of some validations, from the first to the newest, and its truth, beside each other."""
    *steps, truth = kept_pictures(run).items() or [()]
    places = sorted({round(i * (len(steps) - 1) / (PICTURES - 1)) for i in range(PICTURES)}) if steps else []
    for name, path in [*(steps[place] for place in places), *([truth] if steps else [])]:
        shown = picture(path.read_bytes(), f"validation view, {name}", "width: 128px", "jpeg")
        yield f"<figure style='display: inline-block; margin: 4px'>{shown}<figcaption>{name}</figcaption></figure>"


def _state_of_files(run: Run) -> list[tuple[int, int]]:
    """Return what changes as soon as there is something new to read; much cheaper than to read it."""
    files = [path.stat() for path in (run.metrics_path, run.log_path) if path.is_file()]
    return [(file.st_mtime_ns, file.st_size) for file in files]
