"""Adam is torch's own, fused; it goes on from a state that was saved when it was not."""

import copy

import pytest
import torch
from torch import nn

from maskrf_core.training.optimiser import adam, load_optimiser

RATE = 0.01


def begun(fused: bool | None) -> tuple[nn.Linear, torch.optim.Adam]:
    """Return a layer and its optimiser after one step."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    optimiser = torch.optim.Adam(layer.parameters(), lr=RATE, fused=fused)
    step(layer, optimiser)
    return layer, optimiser


def step(layer: nn.Linear, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    layer(torch.tensor([[1.0, 2.0, 3.0]])).square().sum().backward()
    optimiser.step()


@pytest.mark.parametrize("before", [None, True])
def test_it_goes_on_from_a_state_fused_or_not(before: bool | None):
    layer, optimiser = begun(before)
    other = copy.deepcopy(layer)
    continued = adam(other.parameters(), RATE)
    load_optimiser(continued, copy.deepcopy(optimiser.state_dict()))
    assert continued.param_groups[0]["fused"] is True
    for _ in range(3):
        step(layer, optimiser)
        step(other, continued)
    torch.testing.assert_close(other.weight, layer.weight, rtol=1e-6, atol=1e-7)
    ours, theirs = continued.state_dict(), optimiser.state_dict()
    assert ours["param_groups"][0].keys() == theirs["param_groups"][0].keys()
    assert {name: type(of) for name, of in ours["state"][0].items()} == {
        name: type(of) for name, of in theirs["state"][0].items()
    }
    assert ours["state"][0]["step"] == theirs["state"][0]["step"] == 4


def test_it_has_what_is_trained():
    layer, expected = begun(True)
    layer.bias.requires_grad_(False)
    made = adam(layer.parameters(), RATE)
    assert made.param_groups[0]["params"] == [layer.weight]
    assert made.defaults == expected.defaults
