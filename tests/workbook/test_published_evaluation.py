"""The published rendering command is one line here: 05 with a published checkpoint and a scene."""

import json
import shutil
from pathlib import Path

import pytest

from maskrf_core.workbook.execution import NOTEBOOKS, execute
from maskrf_core.workbook.figures.results import read_pictures
from tests.datasets.layouts.trees import dtu_test


@pytest.fixture
def data_root(tmp_path: Path, shared: Path) -> Path:
    """A data root as the published README asks for it, with a scene of 9 tiny views."""
    root = tmp_path / "data"
    dtu_test.build(root)
    target = root / "model/generalization/depth.pth"
    target.parent.mkdir(parents=True)
    shutil.copy(shared / "reference/tensors/generalization_depth.pth", target)
    return root


@pytest.mark.usefixtures("smoke")
def test_a_generalisation_checkpoint_renders_a_scene(data_root: Path, tmp_path: Path):
    asked = {
        "data_root": str(data_root),
        "runs_root": str(tmp_path / "runs"),
        "checkpoint": "data/model/generalization/depth.pth",
        "scene": "dtu_test/birds/black_40",
    }
    done = execute(NOTEBOOKS / "05_evaluate.ipynb", tmp_path / "out.ipynb", parameters=asked)
    assert done.error is None
    (results,) = (tmp_path / "runs").rglob("results.json")
    methods = json.loads(results.read_text())["results"]["methods"]
    assert list(methods) == ["nearest-view copy", asked["checkpoint"]]
    assert 5 < methods[asked["checkpoint"]]["psnr"] < 60
    pictures = read_pictures(results.parent / "pictures/data_model_generalization_depth.pth", asked["scene"], "3")
    assert pictures["fine"].shape == (30, 40, 3)
