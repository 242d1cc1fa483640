"""The errors a user can cause: each message says what was found, where, and what to do about it."""

from collections.abc import Collection
from itertools import islice

LISTED = 10  # names that a message lists


def in_short(names: Collection[str]) -> str:
    """Join the first names for a message, and count the others."""
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(islice(names, LISTED)) + rest


def printable(text: str) -> str:
    """Escape the bytes of a file name that are not UTF-8: printing, drawing and recording them would fail."""
    return text.encode(errors="backslashreplace").decode()


class MaskrfError(Exception):
    """Base of every error that names its remedy; anything else that is raised is a defect of ours."""

    def __str__(self) -> str:
        return printable(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows of the error in place of its trace, which a file keeps that is named."""
        from maskrf_core.support.traces import keep_trace

        return [f"{type(self).__name__}: {self} ({keep_trace(self)})"]


class DatasetError(MaskrfError):
    """A scene on disk is missing, broken or unfit for what was asked of it."""


class NotPreparedError(DatasetError):
    """A scene is not wrong, but something that takes minutes has to be done before it can be opened."""


class SettingsError(MaskrfError):
    """A setting, notebook parameter or name is unknown, of the wrong type or out of range."""


class CheckpointError(MaskrfError):
    """A checkpoint file is missing, cut short, or belongs to another model."""


class RunError(MaskrfError):
    """A run folder cannot be used as asked: it differs, it is damaged, or training went wrong in it."""


class SlurmError(MaskrfError):
    """A job could not be submitted, failed, or was ended from outside."""


def first_line(error: Exception) -> str:
    """Return what an error says first, or its kind."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
