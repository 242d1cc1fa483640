"""Checkpoints of other aggregators: written as their authors do, read again, and refused where they are of another."""

import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import save_checkpoint
from maskrf_core.checkpoints.published_checkpoints import load_renderer, save_published
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import CheckpointError

FINE_SAMPLES = {"ibrnet": 64, "nerformer": 32, "nerformer_pooled": 32}


@pytest.fixture(scope="module", params=FINE_SAMPLES)
def renderer(request) -> Renderer:
    torch.manual_seed(3)
    return Renderer(ModelSettings(aggregator=request.param, fine_samples=FINE_SAMPLES[request.param])).eval()


def test_there_and_back_loses_nothing(renderer: Renderer, tmp_path):
    save_published(tmp_path / "theirs.pth", renderer, 5)
    save_checkpoint(tmp_path / "ours.pt", renderer, 5, {})
    for path in (tmp_path / "theirs.pth", tmp_path / "ours.pt"):
        loaded = load_renderer(path, renderer.settings.aggregator)
        assert loaded.settings == renderer.settings
        own = loaded.state_dict()
        assert own.keys() == renderer.state_dict().keys()
        assert all(torch.equal(own[name], value) for name, value in renderer.state_dict().items())


def test_a_file_that_does_not_say_its_pictures_is_read_as_asked_and_else_says_so(renderer: Renderer, tmp_path, capsys):
    save_published(tmp_path / "theirs.pth", renderer, 5)
    written = renderer.settings.aggregator
    assert load_renderer(tmp_path / "theirs.pth", "neuray").settings.aggregator == written.removesuffix("_pooled")
    assert ("ask for nerformer_pooled" in capsys.readouterr().out) == (written != "ibrnet")


def test_a_weight_too_few_is_named(renderer: Renderer, tmp_path):
    save_published(tmp_path / "theirs.pth", renderer, 5)
    theirs = torch.load(tmp_path / "theirs.pth", weights_only=True)
    entry = theirs["net_fine"] if renderer.settings.aggregator == "ibrnet" else theirs
    entry.pop(next(name for name in entry if name.endswith("rgb_fc.0.weight")))
    torch.save(theirs, tmp_path / "less.pth")
    with pytest.raises(CheckpointError, match="missing"):
        load_renderer(tmp_path / "less.pth")
