"""The weights that a training begins with, and the checkpoints that it writes and continues from."""

import os
from typing import Any

import torch

from maskrf_core.checkpoints.checkpoint_files import check_model, load_weights, newest_checkpoint, save_checkpoint
from maskrf_core.checkpoints.per_scene_renderer import for_one_scene
from maskrf_core.checkpoints.published_checkpoints import load_mvsnet, load_renderer
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.batches.training_views import OneScene
from maskrf_core.model.renderer import Renderer
from maskrf_core.runs import Run
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import CheckpointError, RunError


def renderer_of_run(
    config: Config, scenes: Mixture | OneScene, checkpoint: dict[str, Any] | None, device: torch.device
) -> Renderer:
    """Make the renderer that a training begins with, on the device; for a checkpoint, one that its weights fit."""
    of_scene = isinstance(scenes, OneScene)
    if checkpoint is not None:
        # How many free maps there are, and of which size, is said there alone.
        model = ModelSettings.model_validate(checkpoint["model_settings"]) if of_scene else config.model
        return Renderer(model, config.masking).to(device)
    renderer = initial_renderer(config).to(device)
    return for_one_scene(renderer, scenes.views) if of_scene else renderer


def initial_renderer(config: Config) -> Renderer:
    """Make the renderer that training starts from: a checkpoint's, or a random one of the config's seed.

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
    """Make a renderer of random weights, those of the config's seed; its MVSNet, if it has one, is random too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        return Renderer(config.model, config.masking)


def read_newest(run: Run, *, first: bool = True) -> dict[str, Any] | None:
    """Read the checkpoint to continue from; none where the run has not begun.

    Where it is not the last one, because that one is damaged, this is printed. The `first` of several processes moves
    that file aside, so that it never takes the place of a good one.

    Raises:
        CheckpointError: there are checkpoints, but none can be read.
    """
    checkpoint, path, fault = newest_checkpoint(run.last_checkpoint, run.previous_checkpoint)
    if first and checkpoint is not None and path != run.last_checkpoint:
        print(f"{fault or f'{run.last_checkpoint}: is missing.'}", flush=True)
        print(f"continuing from {path.name}, {checkpoint['step']} steps", flush=True)
        if fault:
            run.last_checkpoint.replace(run.last_checkpoint.with_name("damaged.pt"))
    return checkpoint


def steps_done(run: Run) -> int:
    """Return the steps done up to the newest checkpoint that can be read."""
    checkpoint, _, _ = newest_checkpoint(run.last_checkpoint, run.previous_checkpoint)
    return 0 if checkpoint is None else checkpoint["step"]


def is_done(run: Run) -> bool:
    """Tell whether nothing is left to do: all steps are done, and the last validation was not interrupted."""
    checkpoint, _, _ = newest_checkpoint(run.last_checkpoint, run.previous_checkpoint)
    if checkpoint is None or checkpoint["step"] < run.config.training.steps:
        return False
    return not checkpoint["state"].get("owes_validation", False)


def save_best(run: Run, renderer: Renderer, step: int, state: dict[str, Any]) -> None:
    """Write the weights that validated best.

    Raises:
        RunError: they could not be written. Going on without them would choose others.
    """
    try:
        save_checkpoint(run.best_checkpoint, renderer, step, state)
    except (OSError, RuntimeError, CheckpointError) as error:
        raise RunError(
            f"{run.best_checkpoint}: that of step {step} could not be written ({_reason(error)}). Make room, and start "
            "the run again: it goes on from its last checkpoint."
        ) from error


def remove_leftovers(run: Run) -> None:
    """Remove what a training that was killed as it saved has left beside its checkpoints. Hold the run's lock."""
    for path in run.last_checkpoint.parent.glob(".*"):
        path.unlink()


def save_last(run: Run, renderer: Renderer, step: int, state: dict[str, Any], *, needed: bool) -> None:
    """Write the checkpoint to continue from.

    Where that fails (a full disk), the last good one stays. The training goes on and tries again at the next interval,
    unless this one is `needed` because it ends.

    Raises:
        RunError: a checkpoint that is needed could not be written.
    """
    try:
        save_checkpoint(run.last_checkpoint, renderer, step, state, previous=run.previous_checkpoint)
    except (OSError, RuntimeError, CheckpointError) as error:  # torch makes a RuntimeError of some failed writes
        good = steps_done(run)
        said = (
            f"{run.last_checkpoint}: that of step {step} could not be written ({_reason(error)}). "
            f"The last good one is that of step {good}."
        )
        if needed:
            raise RunError(f"{said} Make room, and start the run again: it continues from there.") from error
        print(f"{said} The training goes on.", flush=True)


def _reason(error: Exception) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).splitlines()[0]
