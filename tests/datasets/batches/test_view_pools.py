"""Queries and working views by the rule of each data set: counted."""

import numpy as np
import pytest

from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.batches.training_views import draw_views, frame_window
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import DatasetError
from tests.datasets.memory_scene import MemoryScene


def settings(**changes):
    return DataSettings(**{"working_views": 8, "query_kept": 0.0} | changes)


def drawn(data_set, count, times=300, **changes):
    """(query, references) as numbers of views, which stand in a line."""
    views, generator = SceneViews(MemoryScene(count, name=f"{data_set}/scene")), np.random.default_rng(4)
    number = {image_id: row for row, image_id in enumerate(views.scene.image_ids)}
    for _ in range(times):
        query, references = draw_views(views, settings(**changes), generator=generator)
        yield number[query], [number[reference] for reference in references]


def ranks(data_set, times=600):
    """How near the references are to the query, 1 the nearest, on a long line: 2 views are at each distance."""
    return [
        {abs(query - reference) for reference in references}
        for query, references in drawn(data_set, 400, times)
        if 30 < query < 370
    ]


@pytest.mark.parametrize(
    ("data_set", "sizes"),
    [("gso", {24}), ("real_iconic", {8, 16, 20}), ("dtu_train", {8, 12}), ("nerf_llff", {24}), ("demo", {24})],
)
def test_references_are_among_the_nearest(data_set, sizes):
    farthest = np.array([max(distances) for distances in ranks(data_set)])
    bounds = sorted(size // 2 for size in sizes)
    assert farthest.max() == bounds[-1]
    # A pool of 8 is taken whole; the larger ones reach their bound often, so each shows as a peak.
    counts = np.bincount(farthest)
    assert all(counts[bound] > 20 for bound in bounds)
    assert (farthest == 4).mean() == pytest.approx(1 / len(sizes), abs=0.08) if 8 in sizes else 4 not in farthest


def test_spaces_are_drawn_from_as_a_whole_and_uniformly():
    counts = np.zeros((16, 16))
    for query, references in drawn("space", 16, 4000):
        counts[query, references] += 1
        assert len(set(references)) == 8
        assert query not in references
    times_query = counts.sum(axis=1, keepdims=True) / 8
    share = 8 / 15  # of the draws with that query, each other view is in: binomial
    deviations = (counts - times_query * share) ** 2 / (times_query * share * (1 - share))
    assert deviations[~np.eye(16, dtype=bool)].sum() < 240 + 4 * (2 * 240) ** 0.5


def test_queries_are_uniform():
    counts = np.bincount([query for query, _ in drawn("gso", 30, 3000)], minlength=30)
    assert ((counts - 100) ** 2 / 100).sum() < 58.3  # chi-square, 29 degrees of freedom, one in a thousand


def test_query_is_a_candidate_as_often_as_asked():
    kept = sum(query in references for query, references in drawn("space", 9, 4000, query_kept=0.02))
    assert 30 < kept < 120  # 4000 · 0.02 · 8/9 = 71
    assert all(query in references for query, references in drawn("real_estate", 9, 20, query_kept=1, working_views=9))


def test_query_frames_are_not_at_the_ends_and_references_in_a_window():
    queries, offsets = set(), set()
    for query, references in drawn("real_estate", 150, 4000):
        queries.add(query)
        assert len(set(references)) == 8
        if 40 < query < 110:
            offsets |= {reference - query for reference in references}
    assert queries == set(range(4, 146))
    assert offsets == set(range(-33, 34)) - {0}


def test_windows_are_moved_into_the_video():
    frames = [str(number) for number in range(100)]
    assert frame_window(frames, "50", frames, 32, 1) == frames[19:84]
    assert frame_window(frames, "4", frames, 32, -1) == frames[:65]
    assert frame_window(frames, "99", frames, 32, 1) == frames[35:]
    assert frame_window(frames[:20], "5", frames[:20], 32, 0) == frames[:20]


@pytest.mark.parametrize("data_set", ["gso", "real_estate", "demo"])
def test_too_few_views(data_set):
    with pytest.raises(DatasetError, match=f"{data_set}/scene: 8 working views .* only 7 .*Set working_views to 7"):
        list(drawn(data_set, 8, 1))


def test_half_as_many_working_views_take_half_the_pool():
    farthest = [max(abs(query - r) for r in references) for query, references in drawn("gso", 60, working_views=4)]
    assert max(farthest) <= 12  # an end of the line has its 12 nearest on one side
