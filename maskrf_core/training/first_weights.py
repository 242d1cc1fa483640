"""The weights that a training begins with."""

from typing import Any

import torch

from maskrf_core.checkpoints.checkpoint_files import check_model, load_weights
from maskrf_core.checkpoints.mvsnet_weights import load_mvsnet
from maskrf_core.checkpoints.per_scene_renderer import for_one_scene
from maskrf_core.checkpoints.published_checkpoints import load_renderer
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.batches.one_scene import OneScene
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import ModelSettings


def renderer_of_run(
    config: Config, scenes: Mixture | OneScene, checkpoint: dict[str, Any] | None, device: torch.device
) -> Renderer:
    """The renderer that a training begins with, on the device; for a checkpoint, one that its weights fit."""
    of_scene = isinstance(scenes, OneScene)
    if checkpoint is not None:
        # How many free maps there are, and of which size, is said there alone.
        model = ModelSettings.model_validate(checkpoint["model_settings"]) if of_scene else config.model
        return Renderer(model, config.masking).to(device)
    renderer = initial_renderer(config).to(device)
    return for_one_scene(renderer, scenes.views) if of_scene else renderer


def initial_renderer(config: Config) -> Renderer:
    """The renderer that training starts from: a checkpoint's, or a random one of the config's seed.

    Raises:
        CheckpointError: the checkpoint cannot be used, or has other model settings than the config; or the weights of
            a random one's MVSNet are missing.
    """
    path = config.training.initial_weights
    if path is None:
        renderer = random_renderer(config)
        if config.model.visibility_init == "cost_volume":
            load_mvsnet(renderer.visibility_init.mvsnet, config.data)
        return renderer
    loaded = load_renderer(path)
    check_model(loaded.settings, config.model, path)
    renderer = Renderer(config.model, config.masking)
    load_weights(renderer, loaded.state_dict(), path)
    return renderer.eval()


def random_renderer(config: Config) -> Renderer:
    """A renderer of random weights, those of the config's seed; its MVSNet, if it has one, is random too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        return Renderer(config.model, config.masking)
