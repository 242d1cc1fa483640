"""The prepared run for a GPU: it needs little, and goes on where it was cut off."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maskrf_core.support.paths import ROOT
from tests.benchmarks.gpu_results import read, table

BARE = """
import runpy, sys
from importlib.machinery import PathFinder

MISSING = set(
    "pycolmap mitsuba submitit papermill viser lpips torchvision imageio ipywidgets diskcache safetensors nbconvert "
    "nbclient jinja2 itables ipyevents matplotlib scipy skimage tensorboard "
    "pandas lightning_fabric".split()
)

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in MISSING else super().find_spec(name, path, target)

sys.meta_path = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
runpy.run_module("tests.benchmarks.gpu", run_name="__main__", alter_sys=True)
"""


def run(folder: Path, *options: str) -> str:
    """Run it from a folder that holds nothing, where few packages are."""
    size = ["--device", "cpu", "--scale", "0.1", "--rays", "16", "--views", "3", "--repeats", "1"]
    done = subprocess.run(
        [sys.executable, "-c", BARE, *size, "--out", str(folder / "kept" / "gpu.json"), *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_starts_where_few_packages_are(tmp_path: Path):
    assert "ceilings" in run(tmp_path, "--budget", "0")


@pytest.mark.long
def test_all_of_it_and_that_it_goes_on(tmp_path: Path):
    first = run(tmp_path, "--budget", "1")
    kept = tmp_path / "kept" / "gpu.json"
    before = json.loads(kept.read_text())["parts"]
    assert "left out" in first
    assert "left out" not in run(tmp_path, "--budget", "10000")
    parts = json.loads(kept.read_text())["parts"]
    assert before.items() <= parts.items()
    assert len(parts) == 10
    assert not [name for name, part in parts.items() if "error" in part]
    assert "plain float32" in kept.with_suffix(".md").read_text()


def test_another_run_is_measured_anew_and_errors_again(tmp_path: Path):
    path = tmp_path / "gpu.json"
    made, whole = {"machine": "one"}, {"copy": {"seconds": [1.0]}}
    assert read(path, made) == {"made": made, "parts": {}}
    path.write_text(json.dumps({"made": made, "parts": {"whole": whole, "not": {"error": {"text": "no"}}}}))
    for day in ({}, {"date": "2026-12-01"}):
        assert read(path, made | day)["parts"] == {"whole": whole}
    assert read(path, {"machine": "two"})["parts"] == {}


def test_a_table_says_how_many_times_as_fast():
    cases = {"plain float32": {"seconds": [0.4]}, "this": {"seconds": [0.1, 0.2, 0.3], "gib": 0.5, "kernels": 7}}
    text = table(
        {"made": {"machine": "one"}, "parts": {"a step": cases, "no step": {"error": {"text": "no room\nat all"}}}}
    )
    assert "| a step | this | 200 | 2.00 |  | 0.5 | 7 |" in text
    assert "| no step | failed: no room |" in text
