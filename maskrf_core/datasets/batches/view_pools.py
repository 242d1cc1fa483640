"""Drawing a query and its working views for a training step, by the published rule of each data set."""

import math

import numpy as np

from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.data_set import FrameWindow, NearestViews
from maskrf_core.datasets.records import record_of
from maskrf_core.settings.sections import DataSettings


def draw_views(views: SceneViews, settings: DataSettings, *, generator: np.random.Generator) -> tuple[str, list[str]]:
    """Draw a random query of the scene and its working views, by the rule of the scene's data set.

    The query itself is among the candidates with probability `settings.query_kept`.

    Raises:
        DatasetError: the scene has too few views.
    """
    pool, queries = views.scene.split("train")
    rule = record_of(views.scene.name).view_pool
    if isinstance(rule, FrameWindow):
        return _draw_from_video(views, pool, queries, rule, settings, generator)
    query_id = queries[generator.integers(len(queries))]
    return query_id, _draw_from_nearest(views, query_id, pool, rule, settings, generator)


def draw_views_of_one_scene(
    views: SceneViews, settings: DataSettings, *, generator: np.random.Generator
) -> tuple[str, list[str]]:
    """Draw the same for a training of this scene alone: one rule for all data sets, no view but its training views.

    Raises:
        DatasetError: the scene has too few views.
    """
    query_id = views.training_ids[generator.integers(len(views.training_ids))]
    return query_id, _draw_from_nearest(views, query_id, views.training_ids, None, settings, generator)


def _draw_from_nearest(
    views: SceneViews,
    query_id: str,
    pool: list[str],
    rule: NearestViews | None,
    settings: DataSettings,
    generator: np.random.Generator,
) -> list[str]:
    candidates = _candidates(query_id, pool, settings, generator)
    count, available = settings.working_views, len(candidates)
    if rule is None:
        size = math.ceil(count * settings.view_pool)
    elif not rule.times:
        size = available
    else:
        # Where there is no choice nothing is drawn, so that the numbers after it stay the published ones.
        times = rule.times[generator.integers(len(rule.times))] if len(rule.times) > 1 else rule.times[0]
        size = min(times * count, rule.at_most)
    return _some(views.nearest(query_id, candidates, max(count, min(size, available))), count, generator)


def _draw_from_video(
    views: SceneViews,
    pool: list[str],
    queries: list[str],
    rule: FrameWindow,
    settings: DataSettings,
    generator: np.random.Generator,
) -> tuple[str, list[str]]:
    if len(queries) > 2 * rule.ends:
        queries = queries[rule.ends : -rule.ends]
    query_id = queries[generator.integers(len(queries))]
    candidates = _candidates(query_id, pool, settings, generator)
    shift = int(generator.integers(-rule.shift, rule.shift + 1))
    nearer = frame_window(pool, query_id, candidates, rule.frames, shift)
    views.check_enough(query_id, nearer, settings.working_views)
    return query_id, _some(nearer, settings.working_views, generator)


def _candidates(query_id: str, pool: list[str], settings: DataSettings, generator: np.random.Generator) -> list[str]:
    others = [image_id for image_id in pool if image_id != query_id]
    return [query_id, *others] if generator.random() < settings.query_kept else others


def _some(image_ids: list[str], count: int, generator: np.random.Generator) -> list[str]:
    return [image_ids[index] for index in generator.permutation(len(image_ids))[:count]]


def frame_window(frames: list[str], query_id: str, candidates: list[str], reach: int, shift: int) -> list[str]:
    """Return the candidates among the frames up to `reach` from the query, moved by `shift` and into the sequence."""
    length = 2 * reach + 1
    first = frames.index(query_id) - reach + shift
    first = max(0, min(first, len(frames) - length))
    window = set(frames[first : first + length])
    return [image_id for image_id in candidates if image_id in window]
