"""The published rendering command is one line here: 05 with a published checkpoint of any kind and a scene."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from maskrf_core.workbook.execution import NOTEBOOKS, execute
from maskrf_core.workbook.experiments.comparison import folder_name
from maskrf_core.workbook.figures.panels import read_pictures
from tests.datasets.readers.trees import dtu_test

SCENE = "dtu_test/birds/black_40"
REFERENCES = dtu_test.VIEWS - 1
"""One of the scene's views is the query."""


@pytest.fixture
def data_root(tmp_path: Path, shared: Path) -> Path:
    """A data root as the published README asks for it, with a scene of 9 tiny views and a checkpoint of every kind."""
    root, tensors = tmp_path / "data", shared / "reference/tensors"
    dtu_test.build(root)
    for folder in ("generalization", "finetune/dtu_test"):
        (root / "model" / folder).mkdir(parents=True)
    for kind in ("depth", "cost_volume"):
        shutil.copy(tensors / f"generalization_{kind}.pth", root / f"model/generalization/{kind}.pth")
    checkpoint = torch.load(tensors / "generalization_depth.pth", weights_only=True)
    size = (32 // 4, 48 // 4)  # 30×40 pixels, padded to multiples of 16, in feature pixels
    maps = torch.randn(REFERENCES, 1, 32, *size, generator=torch.Generator().manual_seed(0))
    checkpoint["network_state_dict"] |= {f"ray_feats.{index}": each.clone() for index, each in enumerate(maps)}
    torch.save(checkpoint, root / "model/finetune/dtu_test/birds.pth")
    return root


@pytest.mark.usefixtures("smoke")
@pytest.mark.parametrize(
    "checkpoint",
    [
        "data/model/generalization/depth.pth",
        *(
            pytest.param(f"data/model/{name}", marks=pytest.mark.long)
            for name in ("generalization/cost_volume.pth", "finetune")
        ),
    ],
)
def test_a_published_checkpoint_renders_a_scene(data_root: Path, tmp_path: Path, checkpoint: str):
    asked = {"data_root": str(data_root), "runs_root": str(tmp_path / "runs"), "checkpoint": checkpoint}
    out = tmp_path / "out.ipynb"
    assert execute(NOTEBOOKS / "05_evaluate.ipynb", out, parameters=asked | {"scene": SCENE, "path": "none"}) is None
    (results,) = (tmp_path / "runs").rglob("results.json")
    methods = json.loads(results.read_text())["results"]["methods"]
    assert list(methods) == ["nearest-view copy", checkpoint]
    assert 5 < methods[checkpoint]["psnr"] < 60
    pictures = read_pictures(results.parent / "pictures" / folder_name(checkpoint), SCENE, "3")
    assert pictures["fine"].shape == (30, 40, 3)
