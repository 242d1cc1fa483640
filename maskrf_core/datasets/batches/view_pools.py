"""Which query and which of its neighbours a training step takes: the published rule of each data set."""

import math
from collections.abc import Callable

import numpy as np

from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.settings.sections import DataSettings

FRAME_WINDOW, FRAME_SHIFT, END_FRAMES = 32, 1, 4
"""real_estate, a video: references are at most so many frames away from the query, in a window that is shifted by up
to one frame; so many frames at either end are no queries."""


def draw_views(views: SceneViews, settings: DataSettings, *, generator: np.random.Generator) -> tuple[str, list[str]]:
    """A random query of the scene and its working views, by the rule of the scene's data set.

    The query itself is among the candidates with probability `settings.query_kept`.

    Raises:
        DatasetError: the scene has too few views.
    """
    pool, queries = views.scene.split("train")
    is_video = views.data_set == "real_estate"
    if is_video and len(queries) > 2 * END_FRAMES:
        queries = queries[END_FRAMES:-END_FRAMES]
    query_id = queries[generator.integers(len(queries))]
    others = [image_id for image_id in pool if image_id != query_id]
    candidates = [query_id, *others] if generator.random() < settings.query_kept else others
    if is_video:
        shift = int(generator.integers(-FRAME_SHIFT, FRAME_SHIFT + 1))
        nearer = frame_window(pool, query_id, candidates, shift)
        views.check_enough(query_id, nearer, settings.working_views)
    else:
        size = POOL_SIZES.get(views.data_set, _as_set)(settings, len(candidates), generator)
        nearer = views.nearest(query_id, candidates, max(settings.working_views, min(size, len(candidates))))
    return query_id, [nearer[index] for index in generator.permutation(len(nearer))[: settings.working_views]]


def draw_views_of_one_scene(
    views: SceneViews, settings: DataSettings, *, generator: np.random.Generator
) -> tuple[str, list[str]]:
    """The same for a training of this scene alone: one rule for all data sets, and no view but its training views.

    Raises:
        DatasetError: the scene has too few views.
    """
    query_id = views.training_ids[generator.integers(len(views.training_ids))]
    others = [image_id for image_id in views.training_ids if image_id != query_id]
    candidates = [query_id, *others] if generator.random() < settings.query_kept else others
    size = _as_set(settings, len(candidates), generator)
    nearer = views.nearest(query_id, candidates, max(settings.working_views, min(size, len(candidates))))
    return query_id, [nearer[index] for index in generator.permutation(len(nearer))[: settings.working_views]]


def frame_window(frames: list[str], query_id: str, candidates: list[str], shift: int) -> list[str]:
    """The candidates among the 65 frames around the query, moved by `shift` frames and into the sequence."""
    length = 2 * FRAME_WINDOW + 1
    first = frames.index(query_id) - FRAME_WINDOW + shift
    first = max(0, min(first, len(frames) - length))
    window = set(frames[first : first + length])
    return [image_id for image_id in candidates if image_id in window]


def _as_set(settings: DataSettings, available: int, generator: np.random.Generator) -> int:
    return math.ceil(settings.working_views * settings.view_pool)


def _three_times(settings: DataSettings, available: int, generator: np.random.Generator) -> int:
    return min(3 * settings.working_views, 24)


def _up_to_three_times(settings: DataSettings, available: int, generator: np.random.Generator) -> int:
    return min(int(generator.integers(1, 4)) * settings.working_views, 20)


def _up_to_twice(settings: DataSettings, available: int, generator: np.random.Generator) -> int:
    return min(int(generator.integers(1, 3)) * settings.working_views, 12)


def _all(settings: DataSettings, available: int, generator: np.random.Generator) -> int:
    return available


POOL_SIZES: dict[str, Callable[[DataSettings, int, np.random.Generator], int]] = {
    "gso": _three_times,
    "real_iconic": _up_to_three_times,
    "dtu_train": _up_to_twice,
    "space": _all,
}
"""Data set → how many of the nearest candidates the working views are drawn from; others: `data.view_pool` times as
many as there are working views."""
