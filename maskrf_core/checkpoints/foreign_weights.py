"""Weights in checkpoint files of other code: wherever they lie there, and whatever was put before their names."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from maskrf_core.support.errors import CheckpointError, in_short

WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts of names by torch: of DataParallel and DDP, `torch.compile`, FSDP and recomputation."""


def find_weights(checkpoint: object, usual: str, path: str | Path) -> dict[str, Tensor]:
    """Find the weights of a checkpoint: the entry `usual`, or else the only one that holds weights, or the file itself.

    Their names come without wrappers of torch, and without a part before each of them, such as `model.`.

    Raises:
        CheckpointError: there are none, more than one entry of them, or one that holds what is no tensor.
    """
    entries = checkpoint if isinstance(checkpoint, dict) else {}
    found = {usual: entries[usual]} if isinstance(entries.get(usual), dict) else {}
    found = found or {name: entry for name, entry in entries.items() if _are_weights(entry)}
    if not found:  # the weights alone, saved with or without the number of steps
        bare = {name: value for name, value in entries.items() if isinstance(value, Tensor) and "." in str(name)}
        found = {"": bare} if bare else {}
    if len(found) != 1:
        what = f", but weights more than once ({in_short([*map(str, found)])})" if found else ", and no other weights"
        raise CheckpointError(
            f"{path}: has no {usual!r} of tensors{what}. Use another copy, or save the weights alone."
        )
    (weights,) = found.values()
    if strange := [str(name) for name, value in weights.items() if not isinstance(value, Tensor)]:
        raise CheckpointError(f"{path}: has no {usual!r} of tensors; what in it is no tensor: {in_short(strange)}.")
    return _unwrapped(weights, path)


def whole_number(value: Any) -> int | None:
    """Return a whole number that Python, numpy or torch holds; None for anything else."""
    if isinstance(value, Tensor | np.generic) and np.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _are_weights(entry: object) -> bool:
    return isinstance(entry, dict) and any("." in str(name) for name in entry) and all(
        isinstance(value, Tensor) for value in entry.values()
    )  # fmt: skip


def _unwrapped(weights: dict[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    names = {name: [part for part in str(name).split(".") if part not in WRAPPERS] for name in weights}
    while names and len({parts[0] for parts in names.values()}) == 1 and min(map(len, names.values())) > 1:
        names = {name: parts[1:] for name, parts in names.items()}
    own = {".".join(parts): weights[name] for name, parts in names.items()}
    if len(own) < len(weights):
        raise CheckpointError(
            f"{path}: holds weights both with and without a wrapper's part of the name. Save those of one model alone."
        )
    return own
