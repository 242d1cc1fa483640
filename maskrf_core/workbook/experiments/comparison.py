"""Methods beside each other on test scenes: their metrics, their pictures, and a camera path of the last one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd
from IPython.display import HTML, Image, Markdown

from maskrf_core.checkpoints.published_files import SHIPPED, is_shipped, settings_of_card
from maskrf_core.datasets.batches.scene_views import expand_scene_names
from maskrf_core.datasets.records import is_among, place_of
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import evaluate, load, nearest_view_copy, open_for_evaluation
from maskrf_core.rendering.path_rendering import RenderedPath, render_path
from maskrf_core.runs import Run
from maskrf_core.settings.config import Config
from maskrf_core.training.saved_states import random_renderer
from maskrf_core.workbook.experiments.preparation import CAPTURE, opened
from maskrf_core.workbook.experiments.trainings import finetuned_runs
from maskrf_core.workbook.figures import moving_pictures, show
from maskrf_core.workbook.figures.panels import frame_strip
from maskrf_core.workbook.parameters import EvaluateParameters

NEAREST, UNTRAINED, FROM_THE_PACKAGE = "nearest-view copy", "untrained", "maskrf"
NO_PATH = 'No path is asked for: `path = "none"`, or the preset\'s.'


class Method(NamedTuple):
    """A name, what renders (None: nothing, the nearest view is copied), and the run it comes from, if any."""

    name: str
    renderer: Renderer | None
    run: Run | None = None


def methods_to_compare(parameters: EvaluateParameters) -> list[Method]:
    """Load the laziest method, and either the weights that ship and what 04 has trained, or the checkpoint asked for.

    The weights that ship are left out beside trained ones of another aggregator.
    Random weights stand beside them where they are ours and render any scene: at the published sizes they are slow to
    render, and free maps of one scene have none.

    Raises:
        DatasetError: a test scene cannot be evaluated.
    """
    config = parameters.config("finetune")
    data = config.data
    tested, choice = config.evaluation.test_scenes, data.view_choice
    for name in tested:
        if name.split("/")[0] == CAPTURE:
            opened(name, Path(data.data_root))  # photographs of one's own may have to be made into a scene
    open_for_evaluation(tested, data.data_root, "test", data.working_views, view_choice=choice)
    if parameters.checkpoint is None:
        runs = finetuned_runs(parameters)
        # Their last weights: the longer one validated more often, and would have more to choose from.
        trained = [Method(name, load(run.last_checkpoint), run) for name, run in runs.items()]
        shipped = load(SHIPPED[FROM_THE_PACKAGE])
        if not trained or shipped.settings.aggregator == config.model.aggregator:
            trained.append(Method(FROM_THE_PACKAGE, shipped))
    else:
        path = parameters.weights_path(parameters.checkpoint)
        run = Run.open(path) if path.is_dir() else None
        trained = [Method(parameters.checkpoint, load(run or path, config.model.aggregator), run)]
        if (run is None and not is_shipped(path)) or trained[0].renderer.settings.free_maps:
            return [Method(NEAREST, None), *trained]
    untrained = untrained_like(trained[-1].renderer, config)
    return [Method(NEAREST, None), Method(UNTRAINED, untrained), *trained]


def untrained_like(renderer: Renderer, config: Config) -> Renderer:
    """Make a renderer of the same settings with the random weights that training of the config's seed begins with.

    What is never trained, the MVSNet of cost volumes, is that of `renderer`.
    """
    untrained = random_renderer(config.model_copy(update={"model": renderer.settings}))
    if renderer.settings.visibility_init == "cost_volume":
        untrained.visibility_init.mvsnet.load_state_dict(renderer.visibility_init.mvsnet.state_dict())
    return untrained


def scores(
    source: Run | Path | Renderer, config: Config, split: Literal["validation", "test"], *, pictures: Path | None = None
) -> pd.DataFrame:
    """Evaluate on the config's validation or test scenes; in a per-scene training on the test views it looks at."""
    validating = split == "validation"
    in_training = validating or config.stage == "per_scene"
    return evaluate(
        source,
        config.data.validation_scenes if validating else config.evaluation.test_scenes,
        data_root=config.data.data_root,
        split=split,
        working_views=config.data.working_views,
        view_choice=config.data.view_choice,
        views_per_scene=config.training.validation_views if in_training else config.evaluation.views_per_scene,
        rays_per_chunk=config.hardware.rays_per_chunk,
        rendering=config.rendering,
        device=config.hardware.device,
        pictures=pictures,
        render_cache_mib=config.hardware.render_cache_mib,
    )


def compare(methods: Sequence[Method], config: Config, pictures: Path) -> pd.DataFrame:
    """Evaluate every method on the config's test scenes: a row a method and view; pictures go below `pictures`."""
    scenes, views = config.evaluation.test_scenes, config.evaluation.views_per_scene
    rows = []
    for method in methods:
        print(f"evaluating: {method.name}", flush=True)
        if method.renderer is None:
            data = config.data
            table = nearest_view_copy(
                scenes, data_root=data.data_root, view_choice=data.view_choice, views_per_scene=views
            )
            table = table.rename(columns={name: f"fine_{name}" for name in ("psnr", "ssim", "lpips")})
        else:
            table = scores(method.renderer, config, "test", pictures=pictures / folder_name(method.name))
        rows += table.assign(method=method.name).to_dict("records")
    return pd.DataFrame(rows)


def folder_name(method: str) -> str:
    """Spell a method's name as that of a folder."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in method)


def seen_in_training(methods: Sequence[Method], test_scenes: Sequence[str]) -> Mapping[str, list[str]]:
    """Find, by method, the test scenes that it was trained or selected on."""
    tested = expand_scene_names(test_scenes)
    seen = {}
    for method in methods:
        if method.name in SHIPPED or method.run is not None:
            data = settings_of_card(method.name)["data"] if method.run is None else method.run.config.data.model_dump()
            names = [*data["train_scenes"], *data["validation_scenes"]]
            places = {place_of(name) for name in expand_scene_names(names)}
            both = {name for name in tested if is_among(place_of(name), places)}
            if both:
                seen[method.name] = sorted(both)
    return seen


def film(methods: Sequence[Method], config: Config, folder: Path) -> RenderedPath | None:
    """Render the config's path (None: no path) through its first test scene with the last method, below a folder."""
    path = config.evaluation.path
    if path.kind == "none":
        return None
    return render_path(
        methods[-1].renderer,
        expand_scene_names(config.evaluation.test_scenes)[0],
        path=path,
        data_root=config.data.data_root,
        working_views=config.data.working_views,
        view_choice=config.data.view_choice,
        rays_per_chunk=config.hardware.rays_per_chunk,
        rendering=config.rendering,
        device=config.hardware.device,
        folder=folder / f"path_{path.kind}",
    )


def strip(filmed: RenderedPath | None, path: Path) -> Image | Markdown:
    """Draw a few frames, saved at `path`; a sentence where nothing was filmed."""
    return Markdown(NO_PATH) if filmed is None else show(frame_strip(filmed), path)


def scrubber(filmed: RenderedPath | None, frames_per_second: int) -> HTML | Markdown:
    """Put the frames under a slider, colour beside depth; a sentence where nothing was filmed."""
    return Markdown(NO_PATH) if filmed is None else moving_pictures.scrub(filmed, frames_per_second)
