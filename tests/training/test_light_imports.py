"""Trainings need nothing that only notebooks, jobs or other scenes need."""

import os
import subprocess
import sys

import pytest

from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config

NOT_FOR_TRAINING = ("matplotlib", "pandas", "pycolmap", "mitsuba", "lpips", "submitit", "torchvision", "imageio")
TRAIN = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[2].split()))  # importing any of them fails
from maskrf_core.training.__main__ import main
sys.exit(main([sys.argv[1]]))
"""
EVALUATE = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[2].split()))
from maskrf_core.rendering.evaluation import evaluate
from maskrf_core.runs import Run
table = evaluate(Run.open(sys.argv[1]), ["demo/test_00"], data_root=sys.argv[1], working_views=3, views_per_scene=1,
                 rays_per_chunk=4096)
assert table["fine_psnr"].notna().all() and table["fine_lpips"].isna().all()
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    overrides = {"training.steps": 1, "training.checkpoint_every": 1, "hardware.data_workers": 0}
    return Run.start(tmp_path / "run", load_config("pretrain", "demo", overrides))


def test_a_training_and_an_evaluation_import_what_they_need_alone(run):
    """One after the other; each of them in an interpreter of its own."""
    for program, blocked in ((TRAIN, NOT_FOR_TRAINING), (EVALUATE, ("lpips", "pycolmap", "mitsuba", "submitit"))):
        done = subprocess.run(
            [sys.executable, "-c", program, str(run.folder), " ".join(blocked)],
            capture_output=True, text=True, check=False, env=os.environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert run.status.state == "finished"
