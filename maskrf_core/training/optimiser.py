"""Adam, in one kernel on a GPU; its state goes from one device to another."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn


def adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    """Make Adam of the parameters that are trained: fused where they are on a GPU."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    fused = all(parameter.is_cuda for parameter in trained) or None  # None on a CPU: the numbers of before
    return torch.optim.Adam(trained, lr=learning_rate, fused=fused)


def load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load the state that an optimiser had, perhaps on another device. This one stays fused, or not, as it is."""
    pairs = zip(state["param_groups"], optimiser.param_groups, strict=True)
    groups = [saved | {"fused": own["fused"]} for saved, own in pairs]
    optimiser.load_state_dict({**state, "param_groups": groups})
