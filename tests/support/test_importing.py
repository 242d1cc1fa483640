"""Libraries that are imported late change nothing of the process."""

import importlib.util
import subprocess
import sys

import pytest

CODE = """
import os, signal, time
from maskrf_core.support.importing import import_pycolmap
heard = []
signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
import_pycolmap()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.2)
print(heard == [signal.SIGTERM])
"""


@pytest.mark.skipif(importlib.util.find_spec("pycolmap") is None, reason="pycolmap is not installed")
def test_a_training_hears_sigterm_after_pycolmap_was_imported():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
