"""A training batch from one scene: its views, what augmentation makes of them, and the rays."""

from typing import NamedTuple

import numpy as np
import torch

from maskrf_core.datasets.augment import crop, draw_window, flip, pad_by_reflection
from maskrf_core.datasets.augment_depth import (
    add_depth_noise,
    jitter_depth_ranges,
    object_ranges,
    shrink_depth_ranges,
    widen_depth_ranges,
)
from maskrf_core.datasets.batch import SceneBatch, Views
from maskrf_core.datasets.view_pools import draw_views
from maskrf_core.datasets.views import ENCODER_MULTIPLE, SceneViews, draw_pixels
from maskrf_core.settings import DataSettings

FORWARD_FACING = ("real_iconic", "real_estate", "space")
"""Data sets of photographs from one side: their views are cropped and mirrored."""
JITTERED = (*FORWARD_FACING, "dtu_train")
"""Data sets whose depth ranges are sometimes made a little wrong."""
WITH_TRUE_DEPTH = ("gso",)
"""Data sets of rendered objects: the input depth is made noisy, the true one supervises. Data sets that are named
nowhere here, such as the demo scenes, are trained on as they are."""
FLIP_PROBABILITY = 0.5


class TrainingDraw(NamedTuple):
    """A training batch and what it is made of, to be named if something goes wrong with it."""

    batch: SceneBatch
    origin: str


def draw_from_scene(views: SceneViews, settings: DataSettings, *, generator: np.random.Generator) -> TrainingDraw:
    """A random query of a scene, random working views, the augmentation of its data set, random rays.

    Raises:
        DatasetError: the scene has too few views, or a file of it is missing or broken.
    """
    query_id, chosen = draw_views(views, settings, generator=generator)
    if views.data_set in WITH_TRUE_DEPTH:
        query, references = _object_views(views, query_id, chosen, generator)
    else:
        query, references = views.query(query_id), views.load(chosen, depths=True)
    if views.data_set in JITTERED:
        query, references = _with_ranges(query, references, jitter_depth_ranges, generator=generator)
    if views.data_set in FORWARD_FACING:
        query, references = _cropped_and_flipped(query, references, settings, generator)
    query, references = widen_depth_ranges(query, references)
    pixels_xy = draw_pixels(query, settings.rays, generator=generator)
    origin = f"scene {views.scene.name}, query {query_id}, references {', '.join(chosen)}"
    return TrainingDraw(SceneBatch(query, pad_by_reflection(references, ENCODER_MULTIPLE), pixels_xy), origin)


def _object_views(
    views: SceneViews, query_id: str, chosen: list[str], generator: np.random.Generator
) -> tuple[Views, Views]:
    """Views of a rendered object: ranges shrunk towards it, and noise on the depths that the model sees."""
    query, references = (views.load(ids, masks=True, depths=True) for ids in ([query_id], chosen))
    objects = torch.cat([object_ranges(part.depths, part.masks) for part in (query, references)])
    query, references = _with_ranges(query, references, shrink_depth_ranges, objects, generator=generator)
    noisy = add_depth_noise(references.depths, references.masks, references.depth_range, generator=generator)
    references = references.replace(masks=None, depths=noisy, true_depths=references.depths)
    return query.replace(depths=None), references


def _with_ranges(
    query: Views, references: Views, change, *arguments, generator: np.random.Generator
) -> tuple[Views, Views]:
    ranges = change(torch.cat([query.depth_range, references.depth_range]), *arguments, generator=generator)
    return query.replace(depth_range=ranges[:1]), references.replace(depth_range=ranges[1:])


def _cropped_and_flipped(
    query: Views, references: Views, settings: DataSettings, generator: np.random.Generator
) -> tuple[Views, Views]:
    """One window for all views, and all of them mirrored or none."""
    sizes = [query.image_size, references.image_size]
    window = draw_window(sizes, settings.crop_height, settings.crop_width, generator=generator)
    query, references = crop(query, window), crop(references, window)
    return (flip(query), flip(references)) if generator.random() < FLIP_PROBABILITY else (query, references)
