"""Training batches from one scene: its query and working views, what augmentation makes of them, and the rays."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from maskrf_core.datasets.batches.augment import crop, draw_window, flip
from maskrf_core.datasets.batches.batch import FROM_DEPTHS, ModelInputs, SceneBatch, Views
from maskrf_core.datasets.batches.depth_augmentation import (
    add_depth_noise,
    as_estimated,
    augment_object_ranges,
    change_ranges,
    consistent_depth_ranges,
    jitter_depth_ranges,
    object_ranges,
)
from maskrf_core.datasets.batches.image_cache import ImageCache
from maskrf_core.datasets.batches.query_pixels import draw_pixels
from maskrf_core.datasets.batches.scene_views import SceneViews, expand_scene_names, open_scenes, padded
from maskrf_core.datasets.data_set import DataSet, FrameWindow
from maskrf_core.datasets.records import UNKNOWN, record_of
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import DatasetError, in_short

FLIP_PROBABILITY = 0.5


class TrainingDraw(NamedTuple):
    """Training batch and what it is made of, to be named if something goes wrong with it."""

    batch: SceneBatch
    origin: str


def draw_views(
    views: SceneViews, settings: DataSettings, *, alone: bool = False, generator: np.random.Generator
) -> tuple[str, list[str]]:
    """Draw a random query of the scene and its working views, by the published rule of the scene's data set.

    The query itself is among the candidates with probability `settings.query_kept`. For a training of this scene
    `alone` there is one rule for all data sets, and no view but its training views. What is nearest, of all but a
    window of frames, `views.view_choice` says.
    """
    pool, queries = (views.training_ids, views.training_ids) if alone else views.scene.split("train")
    rule = None if alone else record_of(views.scene.name).view_pool
    if isinstance(rule, FrameWindow) and len(queries) > 2 * rule.ends:
        queries = queries[rule.ends : -rule.ends]
    query_id = queries[generator.integers(len(queries))]
    others = [image_id for image_id in pool if image_id != query_id]
    candidates = [query_id, *others] if generator.random() < settings.query_kept else others
    count, size = settings.working_views, len(candidates)
    if isinstance(rule, FrameWindow):
        shift = int(generator.integers(-rule.shift, rule.shift + 1))
        nearer = frame_window(pool, query_id, candidates, rule.frames, shift)
        views.check_enough(query_id, nearer, count)
    else:
        if rule is None:
            size = min(size, math.ceil(count * settings.view_pool))
        elif rule.times:
            size = min(size, rule.times[generator.integers(len(rule.times))] * count, rule.at_most)
        nearer = views.nearest(query_id, candidates, max(count, size))
    return query_id, [nearer[index] for index in generator.permutation(len(nearer))[:count]]


def frame_window(frames: list[str], query_id: str, candidates: list[str], reach: int, shift: int) -> list[str]:
    """Return the candidates among the frames up to `reach` from the query, moved by `shift` and into the sequence."""
    length = 2 * reach + 1
    first = max(0, min(frames.index(query_id) - reach + shift, len(frames) - length))
    window = set(frames[first : first + length])
    return [image_id for image_id in candidates if image_id in window]


def draw_from_scene(
    views: SceneViews,
    settings: DataSettings,
    inputs: ModelInputs = FROM_DEPTHS,
    *,
    alone: bool = False,
    generator: np.random.Generator,
) -> TrainingDraw:
    """Draw a random query of a scene, random working views, the augmentation of its data set, random rays.

    The working views have what `inputs` says; where that is no depth, none is estimated or read, but for a rendered
    object's own. Their neighbours are sought among the scene's training views; the query is one of them only where it
    is itself a working view. Their depth supervises where the data set's is exact, or as `depth_supervision` says. For
    a training of this scene `alone`, images stay whole and all views share one depth range: a free map belongs to all
    of its image, and what it says is relative to its view's range. Rays are then drawn by the foreground's rule.

    Raises:
        DatasetError: the scene has too few views, or a file of it is missing or broken.
    """
    record = UNKNOWN if alone else record_of(views.scene.name)
    query_id, chosen = draw_views(views, settings, alone=alone, generator=generator)
    if "noisy_depth" in record.augmentation and inputs.object_ranges:
        query, references = _object_views(views, query_id, chosen, inputs, generator)
    else:
        query, references = views.query(query_id), views.load(chosen, depths=inputs.depths)
        references = references.replace(true_depths=references.depths)
    if not (record.exact_depth if settings.depth_supervision is None else settings.depth_supervision):
        references = references.replace(true_depths=None)
    sources = None
    if inputs.sources:
        pool = [image_id for image_id in views.scene.split("train")[0] if image_id != query_id]
        references, sources = views.with_sources(references, chosen, pool)
    if alone:
        query, references = views.in_shared_range(query), views.in_shared_range(references)
    else:
        query, references = _ranges_and_depths(query, references, record, generator)
    if "crop_and_flip" in record.augmentation:
        for change in _draw_crop_and_flip([query.image_size, references.image_size], settings, generator):
            query, references = change(query), change(references)
            sources = sources and sources.replace(views=change(sources.views))
    pixels_xy = draw_pixels(query, settings.rays, record.rays, generator=generator)
    origin = f"scene {views.scene.name}, query {query_id}, references {', '.join(chosen)}"
    references, sources = padded(references, sources)
    return TrainingDraw(SceneBatch(query, references, pixels_xy, sources), origin)


def _ranges_and_depths(
    query: Views, references: Views, record: DataSet, generator: np.random.Generator
) -> tuple[Views, Views]:
    """Make depth ranges equally long, perhaps wider, and the depths that the model sees perhaps poorer."""
    if "jittered_ranges" in record.augmentation:
        query, references = change_ranges(query, references, partial(jitter_depth_ranges, generator=generator))
    query, references = change_ranges(query, references, consistent_depth_ranges)
    if "estimated_depth" in record.augmentation:
        references = as_estimated(references, generator=generator)
    return query, references


def _draw_crop_and_flip(
    sizes: list[tuple[int, int]], settings: DataSettings, generator: np.random.Generator
) -> list[Callable[[Views], Views]]:
    """Draw what is done to all views alike: a crop, and half of the time a flip after it."""
    window = draw_window(sizes, settings.crop_height, settings.crop_width, generator=generator)
    return [partial(crop, window=window), *([flip] if generator.random() < FLIP_PROBABILITY else [])]


def _object_views(
    views: SceneViews, query_id: str, chosen: list[str], inputs: ModelInputs, generator: np.random.Generator
) -> tuple[Views, Views]:
    """Load views of a rendered object: ranges augmented around it, and noise on the depths if the model sees them."""
    loaded = [views.load(ids, masks=True, depths=inputs.depths) for ids in ([query_id], chosen)]
    depths = [part.depths for part in loaded] if inputs.depths else map(views.own_depths, ([query_id], chosen))
    objects = [object_ranges(depth, part.masks) for depth, part in zip(depths, loaded, strict=True)]
    change = partial(augment_object_ranges, objects=torch.cat(objects), generator=generator)
    query, references = change_ranges(*loaded, change)
    if not inputs.depths:
        return query, references.replace(masks=None)
    ranges = references.depth_range
    noisy = add_depth_noise(references.depths, references.masks, ranges, generator=generator)
    references = references.replace(masks=None, depths=noisy, true_depths=references.depths)
    return query.replace(depths=None), references


class OneScene:
    """The scene that `train_scenes` names, opened for a training of it alone; its test views are never drawn.

    Raises:
        DatasetError: more than one scene is named, or the scene is missing, broken or has too few views.
    """

    notices: tuple[str, ...] = ()  # lines to be said before the training, as `Mixture` has

    def __init__(
        self, settings: DataSettings, cache_root: Path | None, images: ImageCache | None = None, device: str = "auto"
    ):
        names = expand_scene_names(settings.train_scenes)
        if len(names) != 1 or "/" not in names[0]:
            raise DatasetError(
                f"{in_short(names)}: per-scene training takes one scene, such as nerf_llff/fern/8. Name it alone in "
                "data.train_scenes."
            )
        self.settings, self.name = settings, names[0]
        (self.views,) = open_scenes(names, settings.data_root, cache_root, images, device, settings.view_choice)
        self.views.estimated_together = self.views.training_ids
        seen, tested = self.views.scene.split("test")
        both, needed = set(tested) & set(seen), settings.working_views + 1
        if not tested or both:
            raise DatasetError(
                f"{self.name}: of its {len(tested)} test views, {len(both)} are training views too. A per-scene "
                "training is judged by views that it never sees: take another scene."
            )
        if len(seen) < needed:
            raise DatasetError(
                f"{self.name}: {needed - 1} working views and a query are asked for, but only {len(seen)} training "
                "views are there. Set working_views lower, or take another scene."
            )

    def draw(self, generator: np.random.Generator) -> TrainingDraw:
        """Draw a batch: any training view as the query, some of its nearest as references, random rays."""
        inputs = ModelInputs(depths=bool(self.settings.depth_supervision), sources=False)
        return draw_from_scene(self.views, self.settings, inputs, alone=True, generator=generator)

    def prepare_depths(self) -> None:
        """Have the depth maps before the first step if they supervise, which is not the published way."""
        if self.settings.depth_supervision:
            self.views.prepare_depths(self.views.training_ids)
