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
    if isinstance(rule, FrameWindow) and len(queries) > 2 * rule.ends:
        queries = queries[rule.ends : -rule.ends]
    return _draw(views, pool, queries, rule, settings, generator)


def draw_views_of_one_scene(
    views: SceneViews, settings: DataSettings, *, generator: np.random.Generator
) -> tuple[str, list[str]]:
    """Draw the same for a training of this scene alone: one rule for all data sets, no view but its training views.

    Raises:
        DatasetError: the scene has too few views.
    """
    return _draw(views, views.training_ids, views.training_ids, None, settings, generator)


def _draw(
    views: SceneViews,
    pool: list[str],
    queries: list[str],
    rule: NearestViews | FrameWindow | None,
    settings: DataSettings,
    generator: np.random.Generator,
) -> tuple[str, list[str]]:
    query_id = queries[generator.integers(len(queries))]
    others = [image_id for image_id in pool if image_id != query_id]
    candidates = [query_id, *others] if generator.random() < settings.query_kept else others
    count, available = settings.working_views, len(candidates)
    if isinstance(rule, FrameWindow):
        shift = int(generator.integers(-rule.shift, rule.shift + 1))
        nearer = frame_window(pool, query_id, candidates, rule.frames, shift)
        views.check_enough(query_id, nearer, count)
    else:
        size = _pool_size(rule, settings, available, generator)
        nearer = views.nearest(query_id, candidates, max(count, min(size, available)))
    return query_id, [nearer[index] for index in generator.permutation(len(nearer))[:count]]


def _pool_size(
    rule: NearestViews | None, settings: DataSettings, available: int, generator: np.random.Generator
) -> int:
    if rule is None:
        return math.ceil(settings.working_views * settings.view_pool)
    if not rule.times:
        return available
    # Where there is no choice nothing is drawn, so that the numbers after it stay those of earlier runs.
    times = rule.times[generator.integers(len(rule.times))] if len(rule.times) > 1 else rule.times[0]
    return min(times * settings.working_views, rule.at_most)


def frame_window(frames: list[str], query_id: str, candidates: list[str], reach: int, shift: int) -> list[str]:
    """Return the candidates among the frames up to `reach` from the query, moved by `shift` and into the sequence."""
    length = 2 * reach + 1
    first = frames.index(query_id) - reach + shift
    first = max(0, min(first, len(frames) - length))
    window = set(frames[first : first + length])
    return [image_id for image_id in candidates if image_id in window]
