"""The whole workbook runs, one notebook after the other, at the size of seconds."""

import json
import os
import subprocess
import sys

from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.execution import notebooks


def test_all_notebooks_run_and_leave_results_and_pages(tmp_path):
    environment = os.environ | {"MASKRF_SMOKE": "1", "MASKRF_RUNS": str(tmp_path / "runs")}
    command = [sys.executable, "-m", "maskrf_core.workbook.execution"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "masked-pretrained, then finetuned" in done.stdout
    runs = tmp_path / "runs"
    for name in (path.stem for path in notebooks()):
        (page,) = runs.rglob(f"{name}.html")
        assert page.stat().st_size > 10_000
        assert name in (runs / "index.html").read_text(encoding="utf-8")
    (results,) = runs.glob("demo/05_evaluate/results.json")
    methods = json.loads(results.read_text(encoding="utf-8"))["results"]["methods"]
    assert all(0 < scores["psnr"] < 60 for scores in methods.values())
