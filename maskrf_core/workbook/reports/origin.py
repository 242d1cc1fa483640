"""Which file the notebook is that runs in this kernel, as far as what started it tells."""

import os
from pathlib import Path

import psutil
from papermill.cli import papermill as papermill_command

NOTEBOOK_VARIABLE = "MASKRF_NOTEBOOK"
"""Environment variable: process id of what executes a notebook, a colon, and the file that it writes."""
JUPYTER_VARIABLE = "JPY_SESSION_NAME"


def this_notebook() -> tuple[Path, bool] | None:
    """The file, and whether it is written after every cell; none where that cannot be known.

    Variables that only came down from a kernel above are not believed: their notebook is another.
    """
    executor, _, path = os.environ.get(NOTEBOOK_VARIABLE, "").partition(":")
    if executor == str(os.getppid()):
        return _if_there(Path(path), saved=True)
    try:
        parent = psutil.Process(os.getppid())
        output = _papermill_output(parent.cmdline())
        if output is not None:
            return _if_there(Path(parent.cwd()) / output, saved=True)
        session = os.environ.get(JUPYTER_VARIABLE, "")
        inherited = parent.environ().get(JUPYTER_VARIABLE) == session
    except psutil.Error:
        return None
    return None if inherited or not session.endswith(".ipynb") else _if_there(Path(session), saved=False)


def _papermill_output(command: list[str]) -> str | None:
    """The output file in a command line of papermill's, read by papermill's own parser."""
    places = [place for place, word in enumerate(command[:4]) if Path(word).name == "papermill"]
    if not places:
        return None
    context = papermill_command.make_context("papermill", command[places[0] + 1 :], resilient_parsing=True)
    return context.params.get("output_path")


def _if_there(path: Path, *, saved: bool) -> tuple[Path, bool] | None:
    return (path.resolve(), saved) if path.is_file() else None
