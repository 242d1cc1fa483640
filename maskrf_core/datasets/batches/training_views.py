"""A training batch from one scene: its views, what augmentation makes of them, and the rays."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskrf_core.datasets.batches.augment import crop, draw_window, flip
from maskrf_core.datasets.batches.augment_depth import (
    add_depth_noise,
    jitter_depth_ranges,
    object_ranges,
    shrink_depth_ranges,
    widen_depth_ranges,
)
from maskrf_core.datasets.batches.batch import FROM_DEPTHS, ModelInputs, SceneBatch, Views
from maskrf_core.datasets.batches.scene_views import SceneViews, draw_pixels, padded
from maskrf_core.datasets.batches.view_pools import draw_views
from maskrf_core.datasets.records import record_of
from maskrf_core.settings.sections import DataSettings

FLIP_PROBABILITY = 0.5


class TrainingDraw(NamedTuple):
    """Training batch and what it is made of, to be named if something goes wrong with it."""

    batch: SceneBatch
    origin: str


def draw_from_scene(
    views: SceneViews,
    settings: DataSettings,
    inputs: ModelInputs = FROM_DEPTHS,
    *,
    generator: np.random.Generator,
) -> TrainingDraw:
    """Draw a random query of a scene, random working views, the augmentation of its data set, random rays.

    The working views have what `inputs` says; where that is no depth, none is estimated or read, but for a rendered
    object's own. Their neighbours are sought among the scene's training views; the query is one of them only where it
    is itself a working view.

    Raises:
        DatasetError: the scene has too few views, or a file of it is missing or broken.
    """
    augmentation = record_of(views.scene.name).augmentation
    query_id, chosen = draw_views(views, settings, generator=generator)
    if "noisy_depth" in augmentation:
        query, references = _object_views(views, query_id, chosen, inputs, generator)
    else:
        query, references = views.query(query_id), views.load(chosen, depths=inputs.depths)
    sources = None
    if inputs.sources:
        pool = [image_id for image_id in views.scene.split("train")[0] if image_id != query_id]
        references, sources = views.with_sources(references, chosen, pool)
    if "jittered_ranges" in augmentation:
        query, references = _with_ranges(query, references, jitter_depth_ranges, generator=generator)
    if "crop_and_flip" in augmentation:
        change = _drawn_crop_and_flip([query.image_size, references.image_size], settings, generator)
        query, references = change(query), change(references)
        sources = None if sources is None else sources.replaced(change)
    query, references = widen_depth_ranges(query, references)
    pixels_xy = draw_pixels(query, settings.rays, generator=generator)
    origin = f"scene {views.scene.name}, query {query_id}, references {', '.join(chosen)}"
    references, sources = padded(references, sources)
    return TrainingDraw(SceneBatch(query, references, pixels_xy, sources), origin)


def _object_views(
    views: SceneViews, query_id: str, chosen: list[str], inputs: ModelInputs, generator: np.random.Generator
) -> tuple[Views, Views]:
    """Load views of a rendered object: ranges shrunk towards it, and noise on the depths if the model sees them."""
    query, references = (views.load(ids, masks=True, depths=inputs.depths) for ids in ([query_id], chosen))
    objects = torch.cat([_objects(views, [query_id], query), _objects(views, chosen, references)])
    query, references = _with_ranges(query, references, shrink_depth_ranges, objects, generator=generator)
    if not inputs.depths:
        return query, references.replace(masks=None)
    noisy = add_depth_noise(references.depths, references.masks, references.depth_range, generator=generator)
    references = references.replace(masks=None, depths=noisy, true_depths=references.depths)
    return query.replace(depths=None), references


def _objects(views: SceneViews, image_ids: list[str], loaded: Views) -> Float[Tensor, "view 2"]:
    """Find where the object lies, by the depths that were loaded, or else by the scene's own."""
    depths = views.own_depths(image_ids) if loaded.depths is None else loaded.depths
    return object_ranges(depths, loaded.masks)


def _with_ranges(
    query: Views, references: Views, change, *arguments, generator: np.random.Generator
) -> tuple[Views, Views]:
    ranges = change(torch.cat([query.depth_range, references.depth_range]), *arguments, generator=generator)
    return query.replace(depth_range=ranges[:1]), references.replace(depth_range=ranges[1:])


def _drawn_crop_and_flip(
    sizes: Sequence[tuple[int, int]], settings: DataSettings, generator: np.random.Generator
) -> Callable[[Views], Views]:
    """Draw what becomes of all views of a batch: one window for all, and all of them mirrored or none."""
    window = draw_window(sizes, settings.crop_height, settings.crop_width, generator=generator)
    mirrored = generator.random() < FLIP_PROBABILITY
    return lambda views: flip(crop(views, window)) if mirrored else crop(views, window)
