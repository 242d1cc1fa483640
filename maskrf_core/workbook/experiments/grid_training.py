"""A grid that trains in the background of an open notebook, which stays usable meanwhile."""

from collections.abc import Sequence
from contextvars import copy_context
from threading import Thread

from maskrf_core.support.progress import in_watched_notebook
from maskrf_core.workbook.experiments.following import WaitInterrupted
from maskrf_core.workbook.experiments.grid import GridPoint, begin
from maskrf_core.workbook.experiments.sweeps import train_grid
from maskrf_core.workbook.parameters import AblationParameters


class GridTraining:
    """The training of a grid; a cell that needs its results waits for it by `wait`.

    Where no notebook is open, it is over once this is made.

    Raises:
        RunError, TrainingStopped, SettingsError, DatasetError: as `train_grid`; those of points only where no notebook
            is open, else `wait` raises them.
    """

    def __init__(self, points: Sequence[GridPoint], parameters: AblationParameters):
        self._failure: BaseException | None = None
        self._thread: Thread | None = None
        if not in_watched_notebook():
            train_grid(points, parameters)
            return
        begin(points)  # its errors belong under the cell that asks
        # With the context of this cell, what is printed appears below it, whatever cell runs then.
        self._thread = Thread(target=copy_context().run, args=(self._train, points, parameters), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end, and raise what went wrong; `WaitInterrupted` if interrupted: the grid goes on."""
        if self._thread is None:
            return
        try:
            self._thread.join()
        except KeyboardInterrupt:
            raise WaitInterrupted("the grid goes on; its dashboard has buttons to stop it.") from None
        if self._failure is not None:
            raise self._failure

    def _train(self, points: Sequence[GridPoint], parameters: AblationParameters) -> None:
        try:
            train_grid(points, parameters)
        except BaseException as failure:  # whatever it is, it is raised where it is waited for
            self._failure = failure
