"""Weights that ship: half precision, read wherever a checkpoint is, bad files named."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from maskrf_core.checkpoints.published_checkpoints import load_renderer, steps_of
from maskrf_core.checkpoints.published_files import SHIPPED
from maskrf_core.checkpoints.shipped_weights import write_weights
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import CheckpointError


@pytest.fixture(scope="module")
def renderer():
    torch.manual_seed(0)
    return Renderer(ModelSettings(coarse_samples=12, fine_samples=6)).eval()


@pytest.fixture
def file(renderer, tmp_path):
    path = tmp_path / "some.safetensors"
    write_weights(path, renderer, steps=321)
    return path


def test_what_is_read_is_what_was_written_to_half_precision(renderer, file):
    again = load_renderer(file)
    assert again.settings == renderer.settings
    assert steps_of(file) == 321
    for name, value in renderer.state_dict().items():
        read = again.state_dict()[name]
        assert read.dtype == value.dtype
        assert torch.equal(read, value.half().to(value.dtype) if value.is_floating_point() else value), name


def test_weights_that_ship_are_small_and_have_names(file, monkeypatch):
    assert file.stat().st_size < 7e6
    monkeypatch.setitem(SHIPPED, "maskrf", file)
    assert steps_of("maskrf") == 321


def test_a_file_that_was_cut_short_or_is_another_is_named(file, tmp_path):
    data = file.read_bytes()
    for length in (4, 1000, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"some\.safetensors: cannot be read"):
            load_renderer(file)
    file.write_bytes(data)
    save_file(load_file(file), tmp_path / "other.safetensors", {"format": "maskrf weights 9"})
    with pytest.raises(CheckpointError, match="maskrf weights 9"):
        load_renderer(tmp_path / "other.safetensors")
    save_file(load_file(file), tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="not of maskrf"):
        load_renderer(tmp_path / "foreign.safetensors")


def test_a_weight_beyond_half_precision_is_refused(renderer, tmp_path):
    changed = Renderer(renderer.settings)
    with torch.no_grad():
        next(changed.parameters()).fill_(1e6)
    with pytest.raises(CheckpointError, match="half precision"):
        write_weights(tmp_path / "large.safetensors", changed, steps=1)
