"""A grid while it trains: a row a point with a button to stop it, and what masking has gained so far.

All is read from the run folders, so that it can be looked at any time and from anywhere, whoever trains the grid.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from threading import Lock, Thread

import ipywidgets
import numpy as np
import pandas as pd

from maskrf_core.runs.status import STATUS_FILE, is_owned
from maskrf_core.runs.table import state_of
from maskrf_core.support.progress import in_watched_notebook
from maskrf_core.workbook.experiments import grid_statistics as statistics
from maskrf_core.workbook.experiments.grid import GridPoint, overview, scores
from maskrf_core.workbook.figures.paired_differences import difference_curves
from maskrf_core.workbook.figures.parts_of_pages import duration, html_of, loss_line

STAGES = ("pretraining", "finetuning")
SECONDS_BETWEEN_LOOKS = 1.0
HEADINGS = ("point", "state", "time left", "fine colour loss", "validation")
ROW = (
    '<div style="display: grid; align-items: center; column-gap: 1em; line-height: 28px; '
    'grid-template-columns: minmax(9em, 2fr) minmax(14em, 2fr) 6em 120px 6em">{}</div>'
)
_shown: dict[tuple[Path, ...], "Dashboard"] = {}


@dataclass(frozen=True)
class PointProgress:
    """How far a point is, from its run folders."""

    stage: str
    state: str  # of that stage's run, as `runs.table` has it
    step: int
    steps: int
    steps_left: int  # of both stages
    seconds_per_step: float | None  # as logged last
    losses: list[float]
    psnr: float | None  # of the last validation [dB]
    reason: str | None

    @property
    def written(self) -> str:
        """Write stage, state and step for people."""
        if not self.steps_left:
            return "finished"
        if self.state == "training":
            return f"{self.stage}, step {self.step} of {self.steps}"
        if self.state == "not begun":
            return "to do" if self.stage == STAGES[0] else f"{self.stage} is next"
        return f"{self.state} in {self.stage}, step {self.step} of {self.steps}"


def dashboard(points: Sequence[GridPoint]) -> ipywidgets.Widget | pd.DataFrame:
    """Show how far each point of a grid is, with buttons to stop, and what masking gains; it follows by itself.

    Where nobody watches, return the table of `grid.overview`.
    """
    if not in_watched_notebook():
        return overview(points)
    place = tuple(point.folder for point in points)
    if place not in _shown:  # a cell that is run again shows the same one: each has a thread
        _shown[place] = Dashboard(points)
    return _shown[place].page


def progress_of(point: GridPoint) -> PointProgress:
    """Read how far a point is from its run folders, which may not be there yet."""
    losses, rates, psnrs, left = [], [], [], sum(point.steps)
    for stage, run, steps in zip(STAGES, point.runs, point.steps, strict=True):
        metrics = run.metrics()
        state, step, reason = state_of(run, steps, metrics)
        found = {"stage": stage, "state": state, "step": int(step), "steps": steps, "reason": reason}
        left -= min(found["step"], steps)
        losses += _logged(metrics, "train", "colour_fine")
        rates += _logged(metrics, "train", "seconds_per_step")
        psnrs += _logged(metrics, "validation", "fine_psnr")
        if state != "finished":
            left = max(left, 1)  # after the last step it still validates and saves
            break
    newest = {"seconds_per_step": rates[-1] if rates else None, "psnr": psnrs[-1] if psnrs else None}
    return PointProgress(**found, **newest, steps_left=left, losses=losses)


class Dashboard:
    """The page of a grid, which a thread keeps up to date until all points are finished."""

    def __init__(self, points: Sequence[GridPoint]):
        self._points, self._stop_all = points, points[0].folder.parent / "stop"
        self._seen, self._progress, self._drawn, self._turn = {}, {}, None, Lock()
        self._head, self._curve = ipywidgets.HTML(layout={"flex": "1"}), ipywidgets.HTML()
        self._rows = {point.folder: ipywidgets.HTML(layout={"flex": "1"}) for point in points}
        self._stops = {point.folder: _button("stop") for point in points}
        for point in points:
            self._stops[point.folder].on_click(lambda _, point=point: self._stop(point))
        self._stop_button = _button("stop all")
        self._stop_button.on_click(lambda _: self._stop(None))
        headings = ipywidgets.HTML(ROW.format("".join(f"<b>{name}</b>" for name in HEADINGS)), layout={"flex": "1"})
        lines = [[self._head, self._stop_button], [headings, _button("", visibility="hidden")]]
        lines += [[self._rows[point.folder], self._stops[point.folder]] for point in points]
        self.page = ipywidgets.VBox([*(ipywidgets.HBox(line) for line in lines), self._curve])
        self.update()
        Thread(target=self._follow, daemon=True).start()

    def update(self) -> bool:
        """Read what has changed and show it; return whether something is left to do."""
        with self._turn:  # the thread's, or that of a button
            return self._update()

    def _update(self) -> bool:
        for point in self._points:
            seen = _state_of_files(point)
            if self._seen.get(point.folder) != seen:
                self._progress[point.folder] = progress_of(point)
                self._seen[point.folder] = seen
        known = [one.seconds_per_step for one in self._progress.values() if one.seconds_per_step]
        usual = float(np.mean(known)) if known else None
        for point in self._points:
            self._show(point, self._progress[point.folder], usual)
        progress = self._progress.values()
        finished, training = (sum(map(test, progress)) for test in (_is_finished, _trains))
        seconds = sum((one.seconds_per_step or usual or 0) * one.steps_left for one in progress) / max(1, training)
        left = f", about {duration(seconds)} left" if training and usual else ""
        self._head.value = f"<b>{finished} of {len(self._points)} points finished{left}</b>"
        self._stop_button.disabled = not training or self._stop_all.exists()
        self._draw([point for point in self._points if _is_finished(self._progress[point.folder])])
        return finished < len(self._points)

    def _show(self, point: GridPoint, progress: PointProgress, usual: float | None) -> None:
        rate, trains = progress.seconds_per_step or usual, _trains(progress)
        left = duration(rate * progress.steps_left) if trains and rate else ""
        psnr = "" if progress.psnr is None else f"{progress.psnr:.2f} dB"
        state = f'<span title="{escape(progress.reason or "")}">{escape(progress.written)}</span>'
        cells = [escape(point.name), state, left, loss_line(progress.losses), psnr]
        self._rows[point.folder].value = ROW.format("".join(f"<span>{cell}</span>" for cell in cells))
        stops = any(run.stop_path.exists() for run in point.runs)
        button = self._stops[point.folder]
        button.disabled, button.description = not trains or stops, "saving …" if trains and stops else "stop"

    def _draw(self, finished: Sequence[GridPoint]) -> None:
        """Draw the differences to no mask anew, where more points are finished than were."""
        if len(finished) == self._drawn:
            return
        rows = scores(finished)
        gained = statistics.differences_by_scene(rows) if len(rows) else pd.DataFrame()
        if not len(gained) or gained["difference"].isna().all():
            self._curve.value = "<i>What masking gains is drawn here, once a point and that without masks are done.</i>"
        else:
            summary = statistics.summary(rows)
            title = statistics.finding(summary)
            self._curve.value = html_of(difference_curves(gained, summary, title), title)
        self._drawn = len(finished)  # not before: what cannot be read yet is tried again

    def _stop(self, point: GridPoint | None) -> None:
        """Have a point, or the whole grid, save and end; whoever trains it sees the files."""
        if point is None:
            self._stop_all.touch()  # first: nothing more begins
        for run in [run for each in ([point] if point else self._points) for run in each.runs if is_owned(run.folder)]:
            run.stop_path.touch()
        self.update()

    def _follow(self) -> None:
        goes_on = True
        while goes_on:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            try:
                goes_on = self.update()
            except Exception as error:  # of files half written, for one: the next look may succeed
                self._head.value = f"cannot be read now ({escape(f'{type(error).__name__}: {error}')}); trying again"


def _is_finished(progress: PointProgress) -> bool:
    return not progress.steps_left


def _trains(progress: PointProgress) -> bool:
    return progress.state == "training"


def _button(text: str, **layout: str) -> ipywidgets.Button:
    return ipywidgets.Button(description=text, layout={"width": "7em", **layout})


def _logged(metrics: pd.DataFrame, phase: str, name: str) -> list[float]:
    """Return the numbers of a name in a phase, in their order; none where there is no such column."""
    return metrics[metrics["phase"] == phase].reindex(columns=[name])[name].dropna().astype(float).tolist()


def _state_of_files(point: GridPoint) -> list[tuple]:
    """Return what changes as soon as a point has got further; much cheaper than to read it."""
    files = [path for run in point.runs for path in (run.folder / STATUS_FILE, run.metrics_path, run.last_checkpoint)]
    times = [(path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else () for path in files]
    return [*times, tuple(is_owned(run.folder) for run in point.runs)]
