"""Checkpoints in our own format, read and written; published ones are read by `published_checkpoints`."""

import codecs
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from maskrf_core.checkpoints.checkpoint_contents import check_contents
from maskrf_core.checkpoints.published_files import file_of
from maskrf_core.checkpoints.shipped_weights import ENDING, read_weights
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.errors import CheckpointError, in_short

OUR_FORMAT = "maskrf checkpoint 1"
ADDED_SINCE = "masked_modelling.colour_head."  # the first checkpoints of this format lack these: they begin at zero

_SCALAR = np.float64(0).__reduce__()[0]
NUMPY_NUMBERS = [  # not arrays: numbers of numpy, such as the best score in a published file, or its steps
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (codecs.encode, "_codecs.encode"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in f"?{np.typecodes['AllInteger']}{np.typecodes['Float']}"),
]


def save_checkpoint(
    path: Path, renderer: Renderer, step: int, state: dict[str, Any], *, previous: Path | None = None
) -> None:
    """Write weights, their settings, the number of steps done, and what else is needed to continue; atomically.

    It takes its place only after it was read back; the one that had it is kept as `previous`.

    Raises:
        OSError: it cannot be written; CheckpointError: what was written cannot be read. Nothing has changed then.
    """
    model = {"model_settings": renderer.settings.model_dump(), "weights": renderer.state_dict()}
    checkpoint = {"format": OUR_FORMAT, "step": step, **model, "state": state}
    write_atomically(path, lambda file: torch.save(checkpoint, file), check=read_our_checkpoint, keep=previous)


def read_our_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote, each part held to its checksum.

    Raises:
        CheckpointError: as `read_checkpoint`, or the file is of another kind, or a part of it has changed.
    """
    checkpoint = read_checkpoint(path)
    if not isinstance(checkpoint, dict) or checkpoint.get("format") != OUR_FORMAT:
        raise CheckpointError(f"{path}: is not a checkpoint that maskrf wrote.")
    if not isinstance(checkpoint.get("step"), int) or not isinstance(checkpoint.get("state"), dict):
        raise CheckpointError(f"{path}: does not say how to continue (step, state). Use another copy.")
    with _faults_of(path), zipfile.ZipFile(path) as archive:  # torch does not look at the checksums that it writes
        if damaged := archive.testzip():
            raise CheckpointError(f"{path}: {damaged} in it is damaged. Use another copy.")
    return checkpoint


def newest_checkpoint(last: Path, previous: Path) -> tuple[dict[str, Any] | None, Path, str | None]:
    """Read the newest of two checkpoints that can be read; return it, its path, and the fault of a newer one.

    None where there is neither; where there are some, but none can be read, `CheckpointError` is raised.
    """
    faults = []
    for path in (last, previous):
        if path.exists():
            try:
                return read_our_checkpoint(path), path, "\n".join(faults) or None
            except CheckpointError as error:
                faults.append(str(error))
    if faults:
        raise CheckpointError("\n".join(faults))
    return None, last, None


def read_checkpoint(path: str | Path) -> object:
    """Read a checkpoint file of tensors and plain values, or weights that ship; anything else in it is refused.

    Raises:
        CheckpointError: missing, cut short, not data, or more than the file has room for.
    """
    path = file_of(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file. Check the path, or train a model first.")
    if path.suffix == ENDING:
        return {"format": OUR_FORMAT, **read_weights(path)}
    with _faults_of(path):
        check_contents(path)
        with torch.serialization.safe_globals(NUMPY_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)


@contextmanager
def _faults_of(path: str | Path) -> Iterator[None]:
    """Make `CheckpointError` of whatever reading a file raises."""
    try:
        yield
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: is cut short or holds more than tensors and plain values, so it was not loaded. Use another copy."
        ) from error
    except Exception as error:  # zipfile, pickle and torch raise many kinds for a damaged file
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({error}). Use another copy.") from error


def renderer_of(checkpoint: dict[str, Any], path: str | Path) -> Renderer:
    """Make the renderer of a checkpoint of ours, in evaluation mode.

    Raises:
        CheckpointError: there are no settings of a model that is known here, or the weights do not fit them.
    """
    weights = checkpoint.get("weights")
    fault = None if isinstance(weights, dict) else "no weights"
    try:
        settings = ModelSettings.model_validate(checkpoint.get("model_settings"))
    except ValidationError as error:
        fault = "; ".join(f"{'.'.join(map(str, each['loc']))} {each['msg']}".strip() for each in error.errors())
    if fault:
        raise CheckpointError(
            f"{path}: holds no model that this version knows ({fault}). Use the version that wrote it, or another copy."
        )
    try:
        renderer = Renderer(settings)
    except SettingsError as error:  # an aggregator of one's own that is not here
        raise CheckpointError(f"{path}: {error}") from error
    load_weights(renderer, weights, path)
    return renderer.eval()


def check_model(there: ModelSettings, asked: ModelSettings, path: str | Path, *, other_samples: bool = False) -> None:
    """Check that a training with the model `asked` can begin from weights of the model `there`.

    Neither masking nor the direct head has weights of its own that a checkpoint could lack. The numbers of samples
    have none either, but weights render worse with others than they learned.

    Raises:
        CheckpointError: it cannot; the settings that differ are named as `overrides` takes them.
    """
    if there.free_maps is not None:
        raise CheckpointError(f"{path}: is a model of one scene. Begin from the checkpoint that it began from.")
    samples = {"coarse_samples", "fine_samples"}
    compared = [name for name in ModelSettings.model_fields if name != "direct_rendering"]
    differing = [name for name in compared if getattr(there, name) != getattr(asked, name)]
    if other_samples and samples.issuperset(differing):
        return
    if differing:
        needed, given = (", ".join(f"model.{name}={getattr(of, name)}" for name in differing) for of in (there, asked))
        learn = ", learn the new ones by training.other_samples=true" if samples.issuperset(differing) else ""
        raise CheckpointError(
            f"{path}: was trained with {needed}, not with {given}. Ask for {needed}{learn}, or begin from another "
            "checkpoint."
        )


def load_weights(renderer: Renderer, weights: dict[str, Tensor], path: str | Path) -> None:
    """Load all weights or none, as `load_all`; the colour head of a file that lacks it begins as it is."""
    added = {name: value for name, value in renderer.state_dict().items() if name.startswith(ADDED_SINCE)}
    load_all(renderer, added | weights, f"{path}: belongs to another model.")


def load_all(network: nn.Module, weights: dict[str, Tensor], fault: str) -> None:
    """Load weights of just these names and shapes; else raise `CheckpointError`: the `fault`, and a list of them."""
    own = network.state_dict()
    faults = {
        "missing": sorted(own.keys() - weights.keys()),
        "left over": sorted(weights.keys() - own.keys()),
        "of another shape": [
            f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
            for name in sorted(own.keys() & weights.keys())
            if weights[name].shape != own[name].shape
        ],
    }
    if any(faults.values()):
        listed = "; ".join(f"{kind}: {in_short(names)}" for kind, names in faults.items() if names)
        raise CheckpointError(f"{fault} Weights {listed}.")
    network.load_state_dict(weights)
