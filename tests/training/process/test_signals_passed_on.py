"""A launcher passes its signals on to the first of its own processes, never to one that a file merely names."""

import os
import platform
import signal
import subprocess
import sys
import time

import pytest

from maskrf_core.runs.provenance import now
from maskrf_core.runs.status import TrainingStatus, write_status
from maskrf_core.training import __main__ as training
from tests.training.processes import started_run

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def status_of(pid, host=None):
    return TrainingStatus(state="training", step=1, steps=2, pid=pid, host=host or platform.node(), processes=2,
                          started=now(), updated=now())  # fmt: skip


@pytest.fixture
def bystander():
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("named", ["our own", "a stranger", "one elsewhere"])
def test_a_signal_reaches_our_own_process_alone(tmp_path, monkeypatch, bystander, named):
    run = started_run(tmp_path / "run", hardware__devices=2)
    before = {number: signal.getsignal(number) for number in training.SIGNALS}
    child = tmp_path / "child"
    launcher = f"""if True:
        import pathlib, subprocess, time
        process = subprocess.Popen({SLEEP!r})
        pathlib.Path({str(child)!r}).write_text(str(process.pid))
        until = time.monotonic() + 3
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.kill()
    """
    monkeypatch.setattr(training, "several_processes", lambda devices: [sys.executable, "-c", launcher])
    slept, told = time.sleep, []

    def look(seconds):
        if not told and child.is_file() and child.read_text():
            pid = bystander.pid if named == "a stranger" else int(child.read_text())
            told.append(pid)
            write_status(run.folder, status_of(pid, "elsewhere" if named == "one elsewhere" else None))
            os.kill(os.getpid(), signal.SIGTERM)
        slept(seconds)

    monkeypatch.setattr(training.time, "sleep", look)
    begun = time.monotonic()
    try:
        training.train_in_several(run)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert told
    assert bystander.poll() is None
    assert (time.monotonic() - begun < 2.5) == (named == "our own"), "its own process was ended by the signal"
