"""Checks of a training's config and scenes, before anything is trained or written."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from maskrf_core.checkpoints.published_files import is_shipped, settings_of_card
from maskrf_core.datasets.batches.batch import ModelInputs
from maskrf_core.datasets.batches.evaluation_batches import warn_of_blind_references
from maskrf_core.datasets.batches.held_out import held_out_scenes
from maskrf_core.datasets.batches.image_cache import ImageCache
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.batches.scene_views import SceneViews, expand_scene_names, open_scenes
from maskrf_core.datasets.batches.training_views import OneScene
from maskrf_core.datasets.records import held_out_places, is_among, place_of
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.model.aggregators.contract import check_visibility, find_aggregator
from maskrf_core.model.masking.strategies import draw_mask, find_strategy, masked_count, unit_of
from maskrf_core.runs import Run
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import DataSettings, HardwareSettings
from maskrf_core.support.errors import DatasetError, SettingsError, in_short
from maskrf_core.support.machine import available_cores
from maskrf_core.support.paths import cache_folder

OPEN_SCENES_MIB = 256  # memory for scenes that stay open, beside their images, of all processes of a node
MOST_WORKERS = 8  # that a training process has unless more are asked for
VALIDATION_SHARE = 0.02  # of a training's time
RENDERINGS_A_STEP = 3  # of its rays, which a step takes as long as: a backward pass costs twice a forward pass


def with_validation(config: Config) -> Config:
    """Return the config with what is validated on, where it leaves that open.

    Scenes are held out of the data sets that are trained on as a whole; where there is none, they are the demo's. Of
    each as many views are rendered as cost `VALIDATION_SHARE` of the training's time, and at least one.
    """
    data, training = config.data, config.training
    if config.stage != "per_scene" and not data.validation_scenes:
        data = data.model_copy(update={"validation_scenes": held_out_scenes(data) or ["demo/validation"]})
    if training.validation_views is None:
        names = data.train_scenes if config.stage == "per_scene" else data.validation_scenes
        split = "test" if config.stage == "per_scene" else "validation"
        queries = [views.query(views.scene.split(split)[1][0]) for views in open_scenes(names, data.data_root, None)]
        pixels = sum(height * width for height, width in (query.image_size for query in queries))
        rays = VALIDATION_SHARE * RENDERINGS_A_STEP * training.steps * data.rays
        count = max(1, int(rays / math.ceil(training.steps / training.validate_every) / pixels))
        training = training.model_copy(update={"validation_views": count})
    return config.model_copy(update={"data": data, "training": training})


def open_checked_scenes(config: Config) -> tuple[Mixture | OneScene, list[SceneViews]]:
    """Open the scenes to train and to validate on, and check that they are fit for what the config asks.

    Of a data set that is named as a whole, scenes are opened until one is fit. A per-scene training is judged by the
    test views of its own scene, and `validation_scenes` has no part in it. The memory for decoded images and for scenes
    that stay open is shared out evenly among the training processes of this node and their data workers.

    Raises:
        SettingsError, DatasetError: as the checks below, or a scene is missing or broken.
    """
    config = with_validation(config)
    data, hardware = config.data, config.hardware
    check_aggregator(config)
    check_masking(config)
    cache = cache_folder(data.data_root)
    processes = hardware.devices * (data_workers(hardware) + 1)
    images = ImageCache(hardware.image_cache_mib / processes)
    if config.stage == "per_scene":
        one = OneScene(data, cache, images, hardware.device)
        check_origin(one.name, config)
        check_choice(one.views, config)
        check_views([one.views], "test", data.working_views)
        return one, [one.views]
    mixture = Mixture(data, cache, images, hardware.device, training_inputs(config), OPEN_SCENES_MIB / processes)
    validation = open_scenes(data.validation_scenes, data.data_root, cache, images, hardware.device, data.view_choice)
    check_views(mixture.first_scenes(), "train", data.working_views)
    check_views(validation, "validation", data.working_views)
    check_places(mixture.names, config)
    return mixture, validation


def data_workers(hardware: HardwareSettings) -> int:
    """Return how many processes make batches for each training process: as many as are asked for, or one a core.

    The cores of this node are shared out among its training processes, each of which keeps one for itself.
    """
    if hardware.data_workers is not None:
        return hardware.data_workers
    return min(MOST_WORKERS, max(1, available_cores() // hardware.devices - 1))


def prepare_depths(scenes: Mixture | OneScene, validation_scenes: Iterable[SceneViews]) -> None:
    """Prepare the depth maps that scenes named singly need; of whole data sets, scenes without any are passed over."""
    if isinstance(scenes, OneScene):
        scenes.prepare_depths()
        return
    named = [(views, "train") for views in scenes.singly.values() if scenes.inputs.depths]
    for views, split in named + [(views, "validation") for views in validation_scenes]:
        views.prepare_depths(views.scene.split(split)[0])


def training_inputs(config: Config) -> ModelInputs:
    """Return what training batches must hold, for the model or to supervise it; known without the model.

    Free maps, which all per-scene trainings have, stand in for what an init network looks at.
    """
    model = config.model
    if not find_aggregator(model.aggregator).needs_visibility:
        return ModelInputs(depths=False, sources=False, object_ranges=False)
    init = None if config.stage == "per_scene" or model.free_maps is not None else model.visibility_init
    return ModelInputs(depths=init == "depth" or config.supervises_depth, sources=init == "cost_volume")


def check_aggregator(config: Config) -> None:
    """Raise `SettingsError` if there is no such aggregator, or the config asks of it what it has not."""
    data, named = config.data, f"model.aggregator={config.model.aggregator}"
    aggregator = find_aggregator(config.model.aggregator)
    check_visibility(config.model, aggregator)
    views, samples = aggregator.counts_in_more_views_than, aggregator.counts_at_more_samples_than
    if data.working_views <= views or config.model.coarse_samples <= samples:
        raise SettingsError(
            f"data.working_views={data.working_views}, model.coarse_samples={config.model.coarse_samples}: training "
            f"needs more than {views} views and {samples} samples, because only rays that so many see are supervised"
        )
    if not aggregator.needs_visibility and config.stage == "per_scene":
        raise SettingsError(
            f"{named}: the per_scene stage learns free visibility maps, and this aggregator uses no visibility. "
            "Finetune across scenes, or take model.aggregator=neuray"
        )
    if not aggregator.needs_visibility and data.depth_supervision:
        raise SettingsError(
            f"{named}, data.depth_supervision=true: nothing of this aggregator predicts depth. Leave depth_supervision"
        )


def check_masking(config: Config) -> None:
    """Raise `SettingsError` if there is no such strategy, it returns no mask, or so small a ratio masks nothing."""
    masking, model, views = config.masking, config.model, config.data.working_views
    if not masking.masks:
        if ":" not in masking.strategy:
            find_strategy(masking.strategy)
        return
    samples = model.coarse_samples + model.fine_samples
    if masked_count(masking.strategy, views, samples, masking.largest) == 0:
        by_view = unit_of(masking.strategy) == "view"
        of = f"data.working_views={views}" if by_view else f"{samples} samples a ray"
        raise SettingsError(
            f"masking.strategy={masking.strategy}, a mask ratio of {masking.largest:g} and {of}: less than one would "
            "be masked, so nothing ever would. Set the ratio higher, or to 0 to train without masks"
        )
    draw_mask(masking.strategy, views, 2, samples, masking.largest, generator=torch.Generator().manual_seed(0))


def check_views(scenes: Iterable[SceneViews], kind: SplitKind, needed: int) -> None:
    """Raise `DatasetError` if a scene has no query, or fewer than `needed` references of its first query.

    A warning tells where the references that come first share no sight with their query.
    """
    for views in scenes:
        references, queries = views.scene.split(kind)
        if not queries:
            raise DatasetError(f"{views.scene.name}: has no {kind} views. Leave this scene out of {kind}_scenes.")
        if len(set(references) - set(queries[:1])) < needed:
            raise DatasetError(
                f"{views.scene.name}: {needed} working views are asked for, but only {len(references)} reference "
                "views are there. Set working_views lower, or leave this scene out."
            )
        warn_of_blind_references(views, {name: views.camera(name) for name in queries}, references, needed)


def check_origin(scene: str, config: Config) -> None:
    """Raise `SettingsError` if a per-scene training has nothing to begin from, `DatasetError` if that saw its place."""
    if config.training.initial_weights is None:
        raise SettingsError(
            "training.initial_weights: a per-scene training begins from a checkpoint across scenes; name one"
        )
    for file, origin in _origins(config):
        if is_among(place_of(scene), _places(origin.train_scenes)):
            raise DatasetError(
                f"{scene}: {file}, from which its per-scene training is to begin, comes from a training that may "
                "have seen its test views. Begin from another checkpoint, or take another scene."
            )


def check_choice(views: SceneViews, config: Config) -> None:
    """Raise `DatasetError` if a per-scene training begins from weights that were chosen by its scene's test views.

    Of many data sets, validation looks at the very views that are tested; nerf_synthetic has others for it.
    """
    scene = views.scene
    for file, origin in _origins(config):
        if Path(file) != Run(Path(file).parent.parent).best_checkpoint:
            continue  # the last weights, which nothing chose
        validated = place_of(scene.name) in _places(origin.validation_scenes)
        if validated and set(scene.split("validation")[1]) & set(scene.split("test")[1]):
            raise DatasetError(
                f"{scene.name}: {file}, from which its per-scene training is to begin, was chosen as the best by "
                "validation on this scene's test views. Begin from last.pt beside it, or from another checkpoint."
            )


def _origins(config: Config) -> Iterator[tuple[str, DataSettings]]:
    """Follow the weights that a training begins from, with the data of the run that made them, back to the first."""
    while (weights := config.training.initial_weights) is not None:
        if is_shipped(weights):
            yield weights, DataSettings.model_validate(settings_of_card(weights)["data"])
            return
        run = Run(Path(weights).parent.parent)
        if not run.config_path.is_file():
            return
        config = run.config
        yield weights, config.data


def _places(scene_names: Iterable[str]) -> set[str]:
    return {place_of(name) for name in expand_scene_names(scene_names)}


def check_places(train_scenes: Iterable[str], config: Config) -> None:
    """Raise `DatasetError` if a place is used for more than one of training, validation and test.

    Places that published models are tested on (`records.held_out_places`) count as tested, whatever is tested here.
    """
    trained = {place_of(name) for name in train_scenes}
    validated, tested = _places(config.data.validation_scenes), _places(config.evaluation.test_scenes)
    for both, uses in (
        (trained & validated, "trained on and validated on"),
        (trained & tested, "trained on and tested on"),
        (validated & tested, "validated on and tested on"),
        (trained & held_out_places(), "trained on, though held out for tests of published models"),
    ):
        if both:
            raise DatasetError(f"{in_short(sorted(both))}: {uses}. Choose different scenes for each.")
