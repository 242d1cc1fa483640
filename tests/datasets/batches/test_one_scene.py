"""Draws for a training of one scene: no test view, one rule for all data sets, one depth range, nothing cropped."""

import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.batches.training_views import OneScene, draw_views
from maskrf_core.datasets.scene import FrameScene
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import DatasetError
from tests.datasets.memory_scene import MemoryScene, make_scenes, use_folders


def settings(**changes) -> DataSettings:
    return DataSettings(**{"working_views": 8, "view_pool": 2.0, "query_kept": 0.0, "rays": 16} | changes)


def drawn(data_set, count, times=600, **changes):
    """(query, references) as numbers of views, which stand in a line."""
    views, generator = SceneViews(MemoryScene(count, name=f"{data_set}/scene")), np.random.default_rng(4)
    for _ in range(times):
        query, references = draw_views(views, settings(**changes), alone=True, generator=generator)
        yield int(query.split("_")[1]), [int(reference.split("_")[1]) for reference in references]


@pytest.mark.parametrize("data_set", ["gso", "real_iconic", "space", "real_estate", "dtu_train", "demo"])
def test_references_are_8_of_the_16_nearest_in_every_data_set(data_set):
    farthest, queries = 0, set()
    for query, references in drawn(data_set, 60):
        queries.add(query)
        assert len(set(references)) == 8
        assert query not in references
        assert 0 not in (query, *references)  # the test view
        if 9 <= query <= 51:
            farthest = max(farthest, *(abs(query - reference) for reference in references))
    assert farthest == 8
    assert queries == set(range(1, 60))


def test_each_of_the_16_nearest_is_drawn_equally_often():
    counts = np.zeros(17)
    for query, references in drawn("gso", 40, 4000):
        if 9 <= query <= 31:
            counts[[reference - query + 8 for reference in references]] += 1
    times = counts.sum() / 8
    expected = times / 2
    deviations = (np.delete(counts, 8) - expected) ** 2 / (times / 4)
    assert counts[8] == 0
    assert deviations.sum() < 37.7  # chi-square, 15 degrees of freedom and a little, one in a thousand


def test_the_query_is_among_the_16_nearest_as_often_as_asked():
    kept = sum(query in references for query, references in drawn("gso", 40, 4000, query_kept=0.02))
    assert 20 < kept < 65  # 4000 · 0.02 / 2 = 40


@pytest.fixture
def one_scene(tmp_path, monkeypatch):
    """Function from settings to the scene `space/hall` of 7 views, whose views are cropped in other trainings."""
    use_folders(monkeypatch)
    make_scenes(tmp_path, "space/hall", "space/room", views=7)

    def make(*scenes, **changes):
        asked = {"working_views": 4, "train_scenes": list(scenes or ["space/hall"]), "data_root": str(tmp_path)}
        return OneScene(settings(**asked | changes), None)

    return make


def test_batches_are_whole_images_with_one_range_of_all_training_views(one_scene):
    scene = one_scene(crop_height=32, crop_width=32)
    for seed in range(20):
        batch = scene.draw(np.random.default_rng(seed)).batch
        places = batch.references.training_index.tolist()
        assert batch.query.image_size == (32, 48)
        assert batch.references.depths is None
        assert batch.query.depth_range.tolist() == [[2, 10]]  # (2, 4 + i) of views 1 to 6
        assert batch.references.depth_range.tolist() == [[2, 10]] * 4
        for place, K in zip(places, batch.references.K, strict=True):
            assert np.allclose(K, scene.views.scene.K(f"view_{place + 1}"))
        images = [scene.views.scene.image(f"view_{place + 1}") for place in places]
        assert torch.equal(batch.references.images, torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255)
        assert batch.query.training_index.item() >= 0


def test_a_draw_depends_on_the_generator_alone(one_scene):
    scene = one_scene()
    first, again, other = (scene.draw(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.origin == again.origin != other.origin
    assert torch.equal(first.batch.pixels_xy, again.batch.pixels_xy)


def test_depths_are_loaded_only_if_they_supervise(one_scene):
    references = one_scene(depth_supervision=True).draw(np.random.default_rng(0)).batch.references
    assert torch.equal(references.depths, references.true_depths)


def test_rays_come_from_the_whole_picture_in_every_data_set(one_scene):
    """Where half are the foreground's and all is foreground, 28 of 100 pixels are outside the centre, and not 10."""
    scene, outside = one_scene(rays=512), []
    for seed in range(30):
        x, y = scene.draw(np.random.default_rng(seed)).batch.pixels_xy.T
        outside.append(float(((x < 4) | (x >= 44) | (y < 3) | (y >= 29)).float().mean()))
    assert np.mean(outside) == pytest.approx(1 - 40 * 26 / (48 * 32), abs=0.015)


@pytest.mark.parametrize("scenes", [("space/hall", "space/room"), ("space",), ("demo/test",)])
def test_more_than_one_scene_is_refused(one_scene, scenes):
    with pytest.raises(DatasetError, match=r"per-scene training takes one scene.*Name it alone in data\.train_scenes"):
        one_scene(*scenes)


def test_too_few_views_are_refused(one_scene):
    one_scene(working_views=5)
    with pytest.raises(DatasetError, match=r"space/hall: 6 working views and a query .* only 6 training views"):
        one_scene(working_views=6)


@pytest.mark.parametrize(("tested", "message"), [([], "0 test views, 0"), (["view_2"], "1 test views, 1 are training")])
def test_scenes_without_test_views_of_their_own_are_refused(one_scene, monkeypatch, tested, message):
    monkeypatch.setattr(FrameScene, "split", lambda self, kind: (self.image_ids, tested))
    with pytest.raises(DatasetError, match=message):
        one_scene()
