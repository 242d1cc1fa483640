"""Methods beside each other on scenes that none of them was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from maskrf_core.datasets.batches.scene_views import expand_scene_names
from maskrf_core.datasets.places import is_among, place_of
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import load, nearest_view_copy, open_for_evaluation
from maskrf_core.runs import Run
from maskrf_core.settings.config import Config
from maskrf_core.training.saved_states import random_renderer
from maskrf_core.workbook.experiments.experiments import finetuned_runs
from maskrf_core.workbook.experiments.scoring import scores
from maskrf_core.workbook.parameters.parameters import EvaluateParameters

NEAREST, UNTRAINED = "nearest-view copy", "untrained"


@dataclass(frozen=True)
class Method:
    """A name, what renders (None: nothing, the nearest view is copied), and the run it comes from, if any."""

    name: str
    renderer: Renderer | None
    run: Run | None = None


def methods_to_compare(parameters: EvaluateParameters) -> list[Method]:
    """The laziest method, and either random weights and the runs of 03 and 04, or the checkpoint that is asked for.

    Random weights stand beside a checkpoint that is a run of ours and renders any scene: rendering is slow at the
    published sizes, and for the free maps of one scene there is no such thing.

    Raises:
        DatasetError: a test scene cannot be evaluated; before anything is trained.
    """
    config = parameters.config("finetune")
    data = config.data
    open_for_evaluation(config.evaluation.test_scenes, data.data_root, "test", data.working_views)
    if parameters.checkpoint is None:
        runs = finetuned_runs(parameters)
        trained = [Method(name, load(run), run) for name, run in runs.items()]
    else:
        path = parameters.weights_path(parameters.checkpoint)
        run = Run.open(path) if path.is_dir() else None
        trained = [Method(parameters.checkpoint, load(run or path), run)]
        if run is None or trained[0].renderer.settings.free_maps:
            return [Method(NEAREST, None), *trained]
    untrained = untrained_like(trained[-1].renderer, config)
    return [Method(NEAREST, None), Method(UNTRAINED, untrained), *trained]


def untrained_like(renderer: Renderer, config: Config) -> Renderer:
    """A renderer of the same settings with the random weights that training of the config's seed begins with.

    What is never trained, the MVSNet of cost volumes, is that of `renderer`.
    """
    untrained = random_renderer(config.model_copy(update={"model": renderer.settings}))
    if renderer.settings.visibility_init == "cost_volume":
        untrained.visibility_init.mvsnet.load_state_dict(renderer.visibility_init.mvsnet.state_dict())
    return untrained


def compare(methods: Sequence[Method], config: Config, pictures: Path) -> pd.DataFrame:
    """Metrics of every method on the config's test scenes: a row a method and view; pictures go below `pictures`."""
    scenes, views = config.evaluation.test_scenes, config.evaluation.views_per_scene
    rows = []
    for method in methods:
        print(f"evaluating: {method.name}", flush=True)
        if method.renderer is None:
            table = nearest_view_copy(scenes, data_root=config.data.data_root, views_per_scene=views)
            table = table.rename(columns={name: f"fine_{name}" for name in ("psnr", "ssim", "lpips")})
        else:
            table = scores(method.renderer, config, "test", pictures=pictures / folder_name(method.name))
        rows += table.assign(method=method.name).to_dict("records")
    return pd.DataFrame(rows)


def folder_name(method: str) -> str:
    """A method's name as that of a folder."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in method)


def seen_in_training(methods: Sequence[Method], test_scenes: Sequence[str]) -> Mapping[str, list[str]]:
    """Method → the test scenes that it was trained or selected on: its numbers there say nothing about new scenes."""
    tested = expand_scene_names(test_scenes)
    seen = {}
    for method in methods:
        if method.run is not None:
            data = method.run.config.data
            places = {place_of(name) for name in expand_scene_names([*data.train_scenes, *data.validation_scenes])}
            both = {name for name in tested if is_among(place_of(name), places)}
            if both:
                seen[method.name] = sorted(both)
    return seen
