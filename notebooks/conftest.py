"""Notebooks as tests: nbval runs every cell at the size of seconds, in run folders that no other run shares."""

import contextlib
import os
import shutil

import pytest

from maskrf_core.settings.config import SMOKE
from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.parameters import RUNS_VARIABLE

RUNS = f"runs/smoke/{os.getpid()}"
"""Fresh for every session: a run of earlier code would hide what is broken now."""


def pytest_collection_modifyitems(items):
    """Cell by cell, only 03 is for every change; tests/workbook/test_whole_workbook.py runs all notebooks once."""
    for item in items:
        if item.path.suffix == ".ipynb" and not item.path.name.startswith("03"):
            item.add_marker(pytest.mark.long)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """The kernel of a notebook starts with its first cell and inherits this environment; no other test sees it."""
    os.environ.update({SMOKE: "1", RUNS_VARIABLE: RUNS})


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    """Give the environment back to the tests outside of this folder."""
    for name in (SMOKE, RUNS_VARIABLE):
        os.environ.pop(name, None)


def pytest_sessionfinish(session):
    """Leave nothing behind."""
    shutil.rmtree(ROOT / RUNS, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty: another session is at it
        (ROOT / RUNS).parent.rmdir()
