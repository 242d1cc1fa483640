"""The machine is described as far as the system tells."""

import os
import subprocess
import sys

from maskrf_core.support.machine import processor_name


def test_the_processor_has_a_name(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n")
    assert processor_name(tmp_path / "cpuinfo") == "Some CPU @ 2 GHz"
    assert processor_name(tmp_path / "absent")


def test_memory_is_not_that_of_the_process_that_started_it():
    held = bytearray(os.urandom(2**20)) * 1500  # MiB, more than importing torch takes
    code = "from maskrf_core.support.machine import peak_memory_mib; print(peak_memory_mib())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 50 < float(said) < len(held) / 2**20
