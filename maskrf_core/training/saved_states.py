"""The weights that a training begins with, and the checkpoints that it writes and continues from."""

import os
from itertools import count
from pathlib import Path
from typing import Any

import torch

from maskrf_core.checkpoints.checkpoint_files import (
    check_model,
    load_weights,
    newest_checkpoint,
    read_our_checkpoint,
    save_checkpoint,
)
from maskrf_core.checkpoints.per_scene_renderer import for_one_scene
from maskrf_core.checkpoints.published_checkpoints import load_mvsnet, load_renderer, steps_of
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.batches.training_views import OneScene
from maskrf_core.model.renderer import Renderer
from maskrf_core.runs import Run
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import CheckpointError, RunError
from maskrf_core.training.process.protocol import tell_saved


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

    `CheckpointError` where the checkpoint cannot be used, or is of another model, or MVSNet's weights are missing.
    """
    path = config.training.initial_weights
    if path is None:
        renderer = random_renderer(config)
        if config.model.visibility_init == "cost_volume":
            load_mvsnet(renderer.visibility_init.mvsnet, config.data)
        return renderer
    loaded = load_renderer(path, config.model.aggregator)
    check_model(loaded.settings, config.model, path, other_samples=config.training.other_samples)
    renderer = Renderer(config.model, config.masking)
    load_weights(renderer, loaded.state_dict(), path)
    return renderer.eval()


def steps_before(config: Config) -> int:
    """Return the steps behind the weights that training starts from, from the first of the experiment on."""
    path = config.training.initial_weights
    return 0 if path is None else steps_of(path)


def optimiser_of(path: str | Path) -> dict[str, Any]:
    """Read the state of the optimiser that a checkpoint hands on; `CheckpointError` where it has none."""
    state = read_our_checkpoint(path)["state"].get("optimiser")
    if state is None:
        raise CheckpointError(f"{path}: holds no optimiser to hand on. Set training.optimiser to fresh.")
    return state


def hands_on_optimiser(path: str | Path) -> bool:
    """Tell whether a checkpoint holds the state of its optimiser, as the last and best of our trainings do."""
    try:
        return bool(optimiser_of(path))
    except CheckpointError:
        return False


def random_renderer(config: Config) -> Renderer:
    """Make a renderer of random weights, those of the config's seed; its MVSNet, if it has one, is random too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        return Renderer(config.model, config.masking)


def read_newest(run: Run, *, first: bool = True) -> dict[str, Any] | None:
    """Read the checkpoint to continue from; none where the run has not begun.

    Where the last one is damaged, the `first` of several processes says so, and moves it aside, so that it never takes
    the place of a good one. Where both are gone, what the training left is put aside, never overwritten.
    `CheckpointError` where none can be read.
    """
    checkpoint, path, fault = newest_checkpoint(run.last_checkpoint, run.previous_checkpoint)
    if first and checkpoint is not None and path != run.last_checkpoint:
        print(f"{fault or f'{run.last_checkpoint}: is missing.'}", flush=True)
        print(f"continuing from {path.name}, {checkpoint['step']} steps", flush=True)
        if fault:
            run.last_checkpoint.replace(run.last_checkpoint.with_name("damaged.pt"))
    if first and checkpoint is None:
        _put_history_aside(run)
    return checkpoint


def _put_history_aside(run: Run) -> None:
    """Keep what a training left whose checkpoints are gone, as a purge of old files takes them."""
    logged = max((int(row["step"]) for row in run.metric_rows()), default=0)
    if not run.best_checkpoint.is_file() and logged < run.config.training.checkpoint_every:
        return  # it was ended before its first checkpoint
    kept = []
    for path in filter(Path.is_file, (run.best_checkpoint, run.metrics_path)):
        asides = (path.with_name(f"{path.stem}.lost{number}{path.suffix}") for number in count(1))
        kept.append(path.rename(next(aside for aside in asides if not aside.exists())).name)
    print(
        f"{run.last_checkpoint}: is missing, and so is {run.previous_checkpoint.name}: the training begins at step 0. "
        f"What it left is kept as {' and '.join(kept)}.",
        flush=True,
    )


def steps_done(run: Run) -> int:
    """Return the steps done up to the newest checkpoint that can be read."""
    checkpoint, _, _ = newest_checkpoint(run.last_checkpoint, run.previous_checkpoint)
    return 0 if checkpoint is None else checkpoint["step"]


def is_done(run: Run) -> bool:
    """Tell whether nothing is left to do: all steps are done, and the last validation was not interrupted."""
    checkpoint, _, _ = newest_checkpoint(run.last_checkpoint, run.previous_checkpoint)
    done = checkpoint is not None and checkpoint["step"] >= run.config.training.steps
    return done and not checkpoint["state"].get("owes_validation", False)


def save(
    run: Run, renderer: Renderer, step: int, state: dict[str, Any], *, best: bool = False, needed: bool = False
) -> None:
    """Write the checkpoint to continue from, or the weights that validated `best`.

    Where that fails (a full disk), the last good one stays. The training goes on and tries again at the next interval,
    unless this one is `needed` because it ends, or is the best, without which it would choose another: `RunError`.
    """
    path, previous = (run.best_checkpoint, None) if best else (run.last_checkpoint, run.previous_checkpoint)
    try:
        save_checkpoint(path, renderer, step, state, previous=previous)
    except (OSError, RuntimeError, CheckpointError) as error:  # torch makes a RuntimeError of some failed writes
        reason = os.strerror(error.errno) if getattr(error, "errno", None) else str(error).splitlines()[0]
        good = steps_done(run)
        said = f"{path}: that of step {step} could not be written ({reason}). The last good one is that of step {good}."
        if best or needed:
            raise RunError(f"{said} Make room, and start the run again: it continues from there.") from error
        print(f"{said} The training goes on.", flush=True)
    else:
        if not best:
            tell_saved(run.folder, step)
