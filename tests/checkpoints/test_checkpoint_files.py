"""Checkpoints of ours: what is no model that is known here is said, before anything is loaded."""

from pathlib import Path

import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import save_checkpoint
from maskrf_core.checkpoints.published_checkpoints import load_renderer
from maskrf_core.model.renderer import Renderer
from maskrf_core.support.errors import CheckpointError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_settings": {"of_tomorrow": 1}}, "of_tomorrow Extra inputs"),
        ({"model_settings": None}, "holds no model that this version knows"),
        ({"weights": None}, "no weights"),
    ],
)
def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path, change: dict, message: str):
    save_checkpoint(tmp_path / "last.pt", Renderer(), 1, {})
    checkpoint = torch.load(tmp_path / "last.pt", weights_only=True)
    torch.save(checkpoint | change, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=message):
        load_renderer(tmp_path / "last.pt")
