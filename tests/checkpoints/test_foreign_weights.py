"""Published weights as other code writes them again: wrapped, bare, under another name, with other kinds of numbers."""

from collections import OrderedDict

import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.foreign_weights import find_weights
from maskrf_core.checkpoints.published_checkpoints import load_mvsnet, load_renderer, steps_of, to_published
from maskrf_core.model.mvsnet import MVSNet
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import CheckpointError
from tests.model.source_cases import write_mvsnet

OPTIMISER = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))]).state_dict()


@pytest.fixture(scope="module")
def renderer():
    torch.manual_seed(5)
    return Renderer().eval()


@pytest.fixture(scope="module")
def published(renderer):
    return to_published(renderer)


def wrapped(prefix, weights):
    return {prefix + name: value for name, value in weights.items()}


FORMS = {
    "as published": lambda weights: {"step": 100, "network_state_dict": weights, "optimizer_state_dict": OPTIMISER},
    "DataParallel": lambda weights: {"step": 100, "network_state_dict": wrapped("module.", weights)},
    "compiled": lambda weights: {"step": 100, "network_state_dict": wrapped("_orig_mod.", weights)},
    "both": lambda weights: {"step": 100, "network_state_dict": wrapped("module._orig_mod.", weights)},
    "compiled in part": lambda weights: {
        "step": 100,
        "state_dict": {name.replace("agg_net.", "agg_net._orig_mod."): each for name, each in weights.items()},
    },
    "Lightning": lambda weights: {
        "global_step": 100, "epoch": 3, "state_dict": wrapped("model.", weights), "optimizer_states": [OPTIMISER]
    },
    "state_dict": lambda weights: {"state_dict": weights, "step": 100},
    "model": lambda weights: {"model": OrderedDict(weights), "optimizer": OPTIMISER, "step": 100},
    "beside the weights": lambda weights: {**wrapped("module.", weights), "step": torch.tensor(100)},
    "parameters": lambda weights: {
        "step": 100,
        "network_state_dict": {
            name: torch.nn.Parameter(each, requires_grad=each.is_floating_point()) for name, each in weights.items()
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_found_in_every_form(form, published, tmp_path):
    torch.save(FORMS[form](published), tmp_path / "model.pth")
    found = find_weights(torch.load(tmp_path / "model.pth", weights_only=True), "network_state_dict", "model.pth")
    assert found.keys() == published.keys()
    assert all(torch.equal(found[name], value) for name, value in published.items())
    assert steps_of(tmp_path / "model.pth") == 100


@pytest.mark.parametrize("checkpoint", [FORMS["both"], dict], ids=["wrapped twice", "bare"])
def test_a_renderer_is_made_of_them(checkpoint, published, renderer, tmp_path):
    torch.save(checkpoint(published), tmp_path / "model.pth")
    loaded = load_renderer(tmp_path / "model.pth").state_dict()
    own = renderer.state_dict()
    compared = [name for name in own if "colour_head" not in name]  # which no published file has
    assert all(torch.equal(loaded[name], own[name]) for name in compared)


@pytest.mark.parametrize(
    ("step", "steps"),
    [
        (np.int64(100), 100), (np.int32(100), 100), (np.uint8(100), 100), (np.float32(100), 100), (100.0, 100),
        (torch.tensor(100), 100), (torch.tensor([100]), 100), (torch.tensor(100.0), 100),
        (torch.tensor([1, 2]), 0), (float("nan"), 0), (0.5, 0), (True, 0), (np.bool_(True), 0), ("100", 0), (None, 0),
    ],
)  # fmt: skip
def test_steps_are_any_kind_of_whole_number(step, steps, tmp_path):
    torch.save({"step": step, "better": np.bool_(True), "score": np.float16(1)}, tmp_path / "model.pth")
    assert steps_of(tmp_path / "model.pth") == steps


@pytest.mark.parametrize(
    "form",
    [
        lambda weights: {"model": weights, "ema": weights},  # which of them?
        lambda weights: {"network_state_dict": weights | wrapped("module.", weights)},
        lambda weights: {"optimizer": OPTIMISER, "step": 3},
        lambda weights: {"network_state_dict": weights | {"step": 3}},
        lambda weights: {},
    ],
)
def test_what_is_not_clear_is_refused(form, published, tmp_path):
    torch.save(form(published), tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"model\.pth: "):
        load_renderer(tmp_path / "model.pth")


def test_our_own_weights_without_their_settings_are_refused(renderer, tmp_path):
    torch.save(renderer.state_dict(), tmp_path / "bare.pt")
    with pytest.raises(CheckpointError, match="without the settings of their model"):
        load_renderer(tmp_path / "bare.pt")


def test_a_message_lists_ten_names_and_counts_the_others(published, tmp_path):
    torch.save(
        {"state_dict": wrapped("other.", published) | {"another.weight": torch.zeros(1)}}, tmp_path / "model.pth"
    )
    with pytest.raises(CheckpointError) as raised:
        load_renderer(tmp_path / "model.pth")
    message = str(raised.value)
    assert len(message) < 2000
    assert "other.agg_net" in message
    assert f" and {len(published) + 1 - 10} more" in message


@pytest.mark.parametrize("form", [FORMS["DataParallel"], FORMS["Lightning"], dict])
def test_an_mvsnet_is_found_in_every_form_too(form, tmp_path):
    expected = write_mvsnet(tmp_path / "mvsnet.ckpt")
    weights = torch.load(tmp_path / "mvsnet.ckpt", weights_only=True)["state_dict"]
    torch.save(form(weights), tmp_path / "mvsnet.ckpt")
    mvsnet = MVSNet()
    load_mvsnet(mvsnet, DataSettings(mvsnet_weights=str(tmp_path / "mvsnet.ckpt")))
    pairs = zip(mvsnet.state_dict().values(), expected.state_dict().values(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
