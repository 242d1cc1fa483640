"""The published weights of the MVSNet that makes cost volumes: a training from random weights begins with them."""

from pathlib import Path

from torch import Tensor

from maskrf_core.checkpoints.checkpoint_files import load_all, read_checkpoint
from maskrf_core.checkpoints.published_names import our_name
from maskrf_core.model.mvsnet import MVSNet
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import CheckpointError
from maskrf_core.support.paths import resolve

PLACE = "model/mvsnet_pl.ckpt"
"""Below the data root."""

PREFIX = "model."
"""Of names in the file."""
HERE, THERE = "visibility_init.mvsnet.", "init_net.mvsnet."
"""Of names in a renderer with cost volumes, ours and published."""


def mvsnet_path(data: DataSettings) -> Path:
    """Return the file of the weights: `mvsnet_weights`, or `model/mvsnet_pl.ckpt` below the data root."""
    return Path(data.data_root) / PLACE if data.mvsnet_weights is None else resolve(data.mvsnet_weights)


def check_mvsnet_is_there(config: Config) -> None:
    """Raise `CheckpointError` if a training of this config begins with MVSNet's weights, and they are missing."""
    if config.model.visibility_init == "cost_volume" and config.training.initial_weights is None:
        _existing_path(config.data)


def load_mvsnet(mvsnet: MVSNet, data: DataSettings) -> None:
    """Put the published weights into `mvsnet`.

    Raises:
        CheckpointError: the file is missing, damaged, or holds something else.
    """
    path = _existing_path(data)
    checkpoint = read_checkpoint(path)
    published = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(published, dict) or not all(isinstance(value, Tensor) for value in published.values()):
        raise CheckpointError(f"{path}: has no 'state_dict' of tensors, so it is no MVSNet. Use another copy.")
    # Counters of training are not saved by everyone.
    counters = {name: value for name, value in mvsnet.state_dict().items() if name.endswith("num_batches_tracked")}
    weights = {our_mvsnet_name(name): value for name, value in published.items()}
    load_all(mvsnet, counters | weights, f"{path}: is not the MVSNet that is meant.")


def _existing_path(data: DataSettings) -> Path:
    path = mvsnet_path(data)
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file. Training with model.visibility_init=cost_volume from random weights begins with a "
            "pretrained MVSNet: mvsnet_pl.ckpt, made with MVSNet_pl by kwea123, which NeuRay's download page offers. "
            f"Put it at {PLACE} below data.data_root, name another place in data.mvsnet_weights, or start from a "
            "checkpoint with cost volumes, which holds these weights."
        )
    return path


def our_mvsnet_name(published: str) -> str:
    """Return our name, within `MVSNet`, of a weight of the published file."""
    return our_name(THERE + published.removeprefix(PREFIX), "cost_volume").removeprefix(HERE).removeprefix(THERE)
