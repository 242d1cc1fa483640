"""Weights as they ship: safetensors in half precision, with the settings of their model; `maskrf` is a name of them."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from maskrf_core.model.renderer import Renderer
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.errors import CheckpointError

FORMAT = "maskrf weights 1"
ENDING = ".safetensors"


def write_weights(path: Path, renderer: Renderer, steps: int) -> None:
    """Write a renderer's weights in float16 and the optimiser steps behind them; atomically.

    Raises:
        CheckpointError: a weight is beyond float16.
    """
    weights = {name: _halved(value.detach().cpu()) for name, value in renderer.state_dict().items()}
    if beyond := [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]:
        raise CheckpointError(f"{path}: {beyond[0]} is not finite in half precision. Ship other weights.")
    about = {"format": FORMAT, "model_settings": renderer.settings.model_dump_json(), "steps": str(steps)}
    data = save({name: value.contiguous() for name, value in weights.items()}, about)
    write_atomically(path, lambda file: file.write(data))


def read_weights(path: Path) -> dict[str, Any]:
    """Read what `write_weights` wrote, as the entries of a checkpoint: model_settings, weights (float32), step, state.

    Raises:
        CheckpointError: the file is cut short, of another kind, or of another version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                raise CheckpointError(
                    f"{path}: is {about.get('format', 'not of maskrf')!r}, and this version reads {FORMAT!r}. Use the "
                    "version that wrote it, or another file."
                )
            weights = {name: _single(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - it is no dict
        settings, steps = json.loads(about["model_settings"]), int(about["steps"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}). Use another copy.") from error
    return {"model_settings": settings, "weights": weights, "step": steps, "state": {}}


def _halved(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


def _single(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
