"""Checkpoints of the published system, read and written: depth, cost volumes, per scene; and of its MVSNet."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskrf_core.checkpoints.checkpoint_files import (
    OUR_FORMAT,
    load_all,
    load_weights,
    read_checkpoint,
    read_our_checkpoint,
    renderer_of,
)
from maskrf_core.checkpoints.foreign_weights import find_weights, whole_number
from maskrf_core.checkpoints.published_names import Kind, our_name, published_name
from maskrf_core.model.mvsnet import MVSNet
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import AGGREGATORS, DataSettings, FreeMapSettings, ModelSettings, VisibilityInit
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.errors import CheckpointError, in_short
from maskrf_core.support.paths import resolve

RIDGE = "sph_fitter.regs"  # buffer of the direct-rendering head that every published file holds: a constant
RIDGE_OF_DEGREES = torch.tensor([0.0] + [0.001] * 3 + [0.005] * 5 + [0.05] * 7)
COST_VOLUME_NAMES = ("init_net.mvsnet.", "init_net.volume_conv2d.")  # only checkpoints with cost volumes have them
FREE_MAP = "ray_feats."
NERFORMERS = ("nerformer", "nerformer_pooled")  # two models of the same weights, which files do not tell apart
OTHERS = ("ibrnet", "nerformer")
OF_IBRNET = ("net_coarse", "net_fine", "feature_net")  # entries of its checkpoints
TOKENS = {"ibrnet": (-1,), "nerformer": (1, 1, 1, 1, -1)}  # shapes of their mask tokens
UNUSED = ("encoder.model.layer4.", "code.")  # in NeRFormer's: a stage that nothing uses, and constants
MVSNET_FILE = "model/mvsnet_pl.ckpt"  # below the data root
OUR_MVSNET, PUBLISHED_MVSNET = "visibility_init.mvsnet.", "init_net.mvsnet."  # of names in a renderer with cost volumes


def load_renderer(path: str | Path, aggregator: str | None = None) -> Renderer:
    """Make the renderer of any checkpoint, ours or published, in evaluation mode; `aggregator` as `load_published`.

    Raises:
        CheckpointError: as `read_checkpoint`, or the weights belong to another model.
    """
    checkpoint = read_checkpoint(path)
    if not isinstance(checkpoint, dict) or "model_settings" not in checkpoint:
        return load_published(path, aggregator)
    return renderer_of(checkpoint if checkpoint.get("format") == OUR_FORMAT else read_our_checkpoint(path), path)


def load_published(path: str | Path, aggregator: str | None = None) -> Renderer:
    """Make the renderer of a published checkpoint (NeuRay's, IBRNet's or NeRFormer's), in evaluation mode.

    A file of NeRFormer's does not say whether it is of 64×64 or 128×128 pictures: `aggregator` does, `nerformer` or
    `nerformer_pooled`, which is not asked of other files.
    Other code may have written it again: `find_weights` says what of that is read.
    Weights of masked modelling that a file lacks are as at the beginning of a training with seed 0.

    Raises:
        CheckpointError: the file is missing, cut short, holds anything but tensors and plain values, or has weights
            missing, left over or of other shapes; each is named.
    """
    published = _published_weights(path)
    settings = _settings_of(published, path, aggregator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        renderer = Renderer(settings)
    kind, own = _kind_of(settings), renderer.state_dict()
    if ours := published.keys() & own.keys():
        raise CheckpointError(
            f"{path}: holds weights of maskrf ({in_short(sorted(ours))}) without the settings of their model. Use the "
            "checkpoint that the run itself has written."
        )
    weights = {
        our_name(name, kind): value.to(torch.float32) if value.is_floating_point() else value
        for name, value in published.items()
        if name != RIDGE and not name.startswith(UNUSED)
    }
    unmasked = not any(map(_is_masked, weights))
    for name, value in own.items():
        of_norm = kind == "nerformer" and name.endswith("num_batches_tracked")
        if name not in weights and (of_norm or _is_ours_alone(name) or (unmasked and _is_masked(name))):
            weights[name] = value
        elif name.endswith("mask_token") and name in weights and weights[name].numel() == value.numel():
            weights[name] = weights[name].reshape(value.shape)  # published with axes of length one
    load_weights(renderer, weights, path)
    if settings.aggregator == "nerformer":
        print(f"{path}: read as one for 64×64 pictures. If it is for 128×128 (SRN), ask for nerformer_pooled.")
    return renderer.eval()


def steps_of(path: str | Path) -> int:
    """Return the optimiser steps behind a checkpoint, ours or published; 0 where it does not say.

    Those behind the weights that its training began from are among them.
    """
    checkpoint = read_checkpoint(path)
    entries = checkpoint if isinstance(checkpoint, dict) else {}
    return (whole_number(entries.get("step", entries.get("global_step"))) or 0) + _steps_before(entries)


def steps_before(path: str | Path) -> int:
    """Return the optimiser steps behind the weights that the training of a checkpoint began from."""
    return _steps_before(read_checkpoint(path))


def _steps_before(entries: dict[str, Any]) -> int:
    state = entries.get("state")
    return (whole_number(state.get("steps_before")) if isinstance(state, dict) else None) or 0


def to_published(renderer: Renderer) -> dict[str, Tensor]:
    """Return the renderer's weights by published name and shape: as `load_published` read them, to the bit."""
    kind = _kind_of(renderer.settings)
    published = {} if kind in OTHERS else {RIDGE: RIDGE_OF_DEGREES.clone()}
    for name, value in renderer.state_dict().items():
        if not _is_ours_alone(name):
            shape = TOKENS.get(kind, (1, 1, 1, -1)) if name.endswith("mask_token") else value.shape
            published[published_name(name, kind)] = value.detach().cpu().reshape(shape)
    return published


def save_published(path: Path, renderer: Renderer, step: int) -> None:
    """Write a renderer as the published system of its aggregator reads it; atomically."""
    weights = to_published(renderer)
    checkpoint = {"step": step, "best_para": 0.0, "network_state_dict": weights}
    if renderer.settings.aggregator in NERFORMERS:
        checkpoint = weights
    elif renderer.settings.aggregator == "ibrnet":
        checkpoint = {}
        for name, value in weights.items():
            part, _, of_part = name.partition(".")
            checkpoint.setdefault(part, {})[of_part] = value
    write_atomically(path, lambda file: torch.save(checkpoint, file))


def check_mvsnet_is_there(config: Config) -> None:
    """Raise `CheckpointError` if a training of this config begins with MVSNet's weights, and they are missing."""
    if config.model.visibility_init == "cost_volume" and config.training.initial_weights is None:
        _existing_mvsnet(config.data)


def load_mvsnet(mvsnet: MVSNet, data: DataSettings) -> None:
    """Put the published weights into `mvsnet`; raise `CheckpointError` if the file is missing, damaged or another."""
    path = _existing_mvsnet(data)
    published = find_weights(read_checkpoint(path), "state_dict", path)
    # Counters of training are not saved by everyone.
    counters = {name: value for name, value in mvsnet.state_dict().items() if name.endswith("num_batches_tracked")}
    weights = {our_mvsnet_name(name): value for name, value in published.items()}
    load_all(mvsnet, counters | weights, f"{path}: is not the MVSNet that is meant.")


def _existing_mvsnet(data: DataSettings) -> Path:
    path = Path(data.data_root) / MVSNET_FILE if data.mvsnet_weights is None else resolve(data.mvsnet_weights)
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file. Training with model.visibility_init=cost_volume from random weights begins with an "
            "MVSNet by kwea123, mvsnet_pl.ckpt, which NeuRay's download page offers. Put it at "
            f"{MVSNET_FILE} below data.data_root, name another place in data.mvsnet_weights, or start from another "
            "checkpoint with cost volumes."
        )
    return path


def our_mvsnet_name(published: str) -> str:
    """Return our name, within `MVSNet`, of a weight of the published file."""
    name = our_name(PUBLISHED_MVSNET + published.removeprefix("model."), "cost_volume")
    return name.removeprefix(OUR_MVSNET).removeprefix(PUBLISHED_MVSNET)


def _published_weights(path: str | Path) -> dict[str, Tensor]:
    checkpoint = read_checkpoint(path)
    if isinstance(checkpoint, dict) and all(isinstance(checkpoint.get(part), dict) for part in OF_IBRNET):
        parts = [part for part in checkpoint if part not in ("optimizer", "scheduler")]
        parts = [part for part in parts if isinstance(checkpoint[part], dict)]
        return {
            f"{part}.{name}": value
            for part in parts
            for name, value in find_weights({"weights": checkpoint[part]}, "weights", path).items()
        }
    published = find_weights(checkpoint, "network_state_dict", path)
    ridge = published.get(RIDGE, RIDGE_OF_DEGREES).float()
    if ridge.shape != RIDGE_OF_DEGREES.shape or not torch.allclose(ridge, RIDGE_OF_DEGREES, atol=1e-3):
        raise CheckpointError(f"{path}: {RIDGE} is not the published constant, so it is a checkpoint of other code.")
    return published


def _settings_of(published: dict[str, Tensor], path: str | Path, aggregator: str | None) -> ModelSettings:
    """Return the settings of the model that these weights belong to."""
    maps = {name.removeprefix(FREE_MAP): value for name, value in published.items() if name.startswith(FREE_MAP)}
    if any(name.startswith("net_fine.") for name in published):
        return ModelSettings(aggregator="ibrnet", fine_samples=64)
    if any(name.startswith("mlp_fine.") for name in published):
        return ModelSettings(aggregator=aggregator if aggregator in NERFORMERS else "nerformer")
    init: VisibilityInit | None = None
    if any(name.startswith(COST_VOLUME_NAMES) for name in published):
        init = "cost_volume"
    elif any(name.startswith("init_net.") for name in published) or not maps:
        init = "depth"
    if not maps:
        return ModelSettings(visibility_init=init)
    shapes = {tuple(value.shape) for value in maps.values()}
    if set(maps) != {str(index) for index in range(len(maps))} or len(shapes) > 1 or len(min(shapes)) != 4:
        listed = in_short([f"{FREE_MAP}{name} {tuple(value.shape)}" for name, value in maps.items()])
        raise CheckpointError(
            f"{path}: its visibility maps must be numbered from 0 on and of one shape [1 32 height width], but are "
            f"{listed}. Use another copy."
        )
    _, _, height, width = min(shapes)
    free_maps = FreeMapSettings(views=len(maps), height=height, width=width, shared_depth_range=True)
    return ModelSettings(visibility_init=init, free_maps=free_maps)


def _kind_of(settings: ModelSettings) -> Kind:
    """Return the kind of names that weights are published by; with free maps alone it makes no difference.

    Raises:
        CheckpointError: nothing is published of such a model.
    """
    if settings.aggregator not in AGGREGATORS:
        raise CheckpointError(f"model.aggregator={settings.aggregator}: is published nowhere, so it has no such names.")
    if settings.aggregator in NERFORMERS:
        return "nerformer"
    return settings.aggregator if settings.aggregator != "neuray" else settings.visibility_init or "depth"


def _is_ours_alone(name: str) -> bool:
    """Tell whether one of our names is published nowhere: colour head, counters of batch norms never trained."""
    of_frozen = name.startswith(OUR_MVSNET) and name.endswith(".num_batches_tracked")
    return of_frozen or name.startswith("masked_modelling.colour_head.")


def _is_masked(name: str) -> bool:
    """Tell whether masked pretraining adds this weight of ours: NeuRay's files, which MRVM's began from, lack it."""
    return name.startswith("masked_modelling.") or name.endswith("mask_token")
