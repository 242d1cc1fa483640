"""The entry of a training process in its run's provenance, from its first step to however it ends."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch

from maskrf_core.datasets.batches.fingerprint import fingerprints
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.batches.one_scene import OneScene
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.runs import Run
from maskrf_core.runs.initial_weights import hold_to_weights
from maskrf_core.runs.sessions import begin_session
from maskrf_core.training.process.stopping import TrainingStopped
from maskrf_core.training.status_report import reason_of


@contextlib.contextmanager
def record_session(
    run: Run,
    scenes: Mixture | OneScene,
    validation_scenes: Iterable[SceneViews],
    *,
    device: torch.device,
    done: Callable[[], int],
) -> Iterator[None]:
    """Note what is done meanwhile, and on which data; `done` says how many steps are. Data that have changed since the
    run began are told, and train it all the same."""
    weights = run.config.training.initial_weights
    if weights is not None and done() == 0:  # later, they are not needed any more
        hold_to_weights(run, Path(weights))
    session = begin_session(
        run.folder,
        from_step=done(),
        processes=run.config.hardware.processes,
        device=device,
        data=fingerprints(scenes, validation_scenes),
    )
    for name in session.changed_data:
        print(f"{name}: is not what it was when this run began; it is trained on as it is now", flush=True)
    try:
        yield
    except TrainingStopped as stopped:
        session.end(to_step=done(), exit="stopped", reason=str(stopped))
        raise
    except BaseException as error:
        session.end(to_step=done(), exit="failed", reason=reason_of(error))
        raise
    session.end(to_step=done(), exit="finished")
