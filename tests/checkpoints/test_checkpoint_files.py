"""Checkpoints of ours: what is no model that is known here is said, before anything is loaded."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrf_core.checkpoints.checkpoint_files import OUR_FORMAT, read_our_checkpoint, save_checkpoint
from maskrf_core.checkpoints.published_checkpoints import load_renderer
from maskrf_core.model.renderer import Renderer
from maskrf_core.support.errors import CheckpointError
from tests.harm import harmed
from tests.tiers import draws


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


@settings(max_examples=draws(1000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_refused_or_harmless(tmp_path: Path, data: st.DataObject):
    weights = {"a": torch.arange(40.0), "b": torch.ones(3, 3)}  # few, so that most of the file says what is where
    path = tmp_path / "last.pt"
    torch.save({"format": OUR_FORMAT, "step": 7, "weights": weights, "state": {"best": 0.5}}, path)
    path.write_bytes(harmed(data, path.read_bytes()))
    try:
        found = read_our_checkpoint(path)
    except CheckpointError:
        return
    assert (found["step"], found["state"], found["weights"].keys()) == (7, {"best": 0.5}, weights.keys())
    assert all(torch.equal(found["weights"][name], weights[name]) for name in weights)
