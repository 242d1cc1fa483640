"""Evaluation: the right pixels, the right references, tables and pictures, bounded memory."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import save_checkpoint
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import open_scene
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import evaluate, nearest_view_copy, psnr, validate, view_metrics
from maskrf_core.rendering.rendered_views import PixelRenderer, RenderedView, render_view
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import CheckpointError, DatasetError, SettingsError
from tests.datasets.memory_scene import MemoryScene
from tests.datasets.rig_scene import rig, use_rigs


@pytest.fixture(scope="module")
def renderer():
    torch.manual_seed(0)
    return Renderer(ModelSettings(coarse_samples=6, fine_samples=3)).eval()


@pytest.fixture
def views():
    return SceneViews(MemoryScene(height=37, width=50))  # not a multiple of anything


def test_metrics_of_a_view_by_hand():
    truth = np.full((8, 8, 3), 0.5, np.float32)
    depth = np.ones((8, 8), np.float32)
    view = RenderedView("s", "i", truth, truth + 0.1, truth - 0.01, depth, depth, (0.5, 2.0))
    scores = view_metrics(view, ("psnr",))
    assert scores == {"coarse_psnr": pytest.approx(20, abs=1e-3), "fine_psnr": pytest.approx(40, abs=1e-3)}


def test_evaluate_makes_a_row_a_view_and_pictures(renderer, tmp_path):
    checkpoint = tmp_path / "model.pt"
    save_checkpoint(checkpoint, renderer, 5, {})
    options = {"working_views": 3, "views_per_scene": 1, "rays_per_chunk": 4096}
    table = evaluate(checkpoint, ["demo/test_00"], pictures=tmp_path / "renders", **options)
    assert table[["scene", "image_id"]].to_numpy().tolist() == [["demo/test_00", "view_02"]]
    truth, fine = (
        cv2.imread(str(tmp_path / "renders" / "demo_test_00" / f"view_02_{kind}.png")) / 255
        for kind in ("truth", "fine")
    )
    assert table["fine_psnr"].iloc[0] == pytest.approx(psnr(fine, truth), abs=0.05)
    assert (tmp_path / "renders" / "metrics.csv").is_file()


def test_the_direct_picture_has_columns_where_the_head_is_on(renderer, views, tmp_path):
    with_head = Renderer(ModelSettings(coarse_samples=6, fine_samples=3, direct_rendering=True)).eval()
    with_head.load_state_dict(renderer.state_dict())
    batch = evaluation_batch(views, "view_0", ["view_1", "view_2", "view_3"], 3)
    view = render_view(PixelRenderer(with_head, 700), batch, "memory", "view_0")
    whole = with_head.render(batch, 10_000).fine
    np.testing.assert_allclose(view.direct[12, 34], whole.direct_rgb[12 * 50 + 34].clip(0, 1), atol=1e-5)
    assert not np.allclose(view.direct, view.fine, atol=0.01)
    plain = render_view(PixelRenderer(renderer, 700), batch, "", "")
    scores, usual = (view_metrics(each, ("psnr",)) for each in (view, plain))
    assert scores == pytest.approx(usual | {"direct_psnr": psnr(view.direct, view.truth)}, rel=1e-5)


def test_nearest_view_copy_is_the_nearest_photograph():
    table = nearest_view_copy(["demo/test_00"], views_per_scene=2)
    views = SceneViews(open_scene("demo/test_00"))
    references, queries = views.scene.split("test")
    (nearest,) = views.nearest(queries[0], references, 1)
    copy, truth = (views.scene.image(image_id) / 255 for image_id in (nearest, queries[0]))
    assert len(table) == 2
    assert table["psnr"].iloc[0] == pytest.approx(psnr(copy, truth), abs=1e-3)


def test_a_rig_is_evaluated_from_lenses_that_look_the_same_way_and_a_warning_tells_of_others(
    renderer, monkeypatch, tmp_path
):
    name, scene = use_rigs(monkeypatch, tmp_path), rig()
    asked = {"data_root": tmp_path, "views_per_scene": 1}

    def scores(**choice):
        rendered = evaluate(renderer, [name], working_views=4, rays_per_chunk=4096, **asked, **choice)
        return rendered["fine_psnr"][0], nearest_view_copy([name], **asked, **choice)["psnr"][0]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_default, looking = scores(), scores(view_choice="nearest_looking")
    with pytest.warns(UserWarning, match=name):
        nearest = scores(view_choice="nearest")
    assert by_default == looking
    assert all(ours != theirs for ours, theirs in zip(by_default, nearest, strict=True))
    truth = scene.image("view_0") / 255
    for (_, score), copy in ((looking, "view_1"), (nearest, "view_6")):  # the next place, and the next lens
        assert score == pytest.approx(psnr(scene.image(copy) / 255, truth), abs=1e-3)


def test_validation_is_the_mean_over_views(renderer, views):
    one = validate(renderer, [views], working_views=3, views_per_scene=1, rays_per_chunk=4096)
    both = validate(renderer, [views, views], working_views=3, views_per_scene=1, rays_per_chunk=4096)
    assert both.pop("fine_psnr_by_scene") == {views.scene.name: pytest.approx(one["fine_psnr"])}
    assert one.pop("fine_psnr_by_scene").keys() == {views.scene.name}
    assert both == pytest.approx(one)


def test_a_gpu_that_is_not_there(renderer, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="sees no GPU"):
        evaluate(renderer, ["demo/test_00"], device="cuda")


def test_a_scene_without_queries_is_named(renderer, monkeypatch):
    monkeypatch.setattr("maskrf_core.datasets.scene.FrameScene.split", lambda self, kind: (self.image_ids, []))
    with pytest.raises(DatasetError, match="demo/test_00: has no test views"):
        evaluate(renderer, ["demo/test_00"])


@pytest.mark.parametrize(
    ("source", "scenes", "error", "message"),
    [
        (Path("nowhere.pt"), ["demo/test_00"], CheckpointError, "no such checkpoint"),
        (None, ["demo/tset_00"], DatasetError, "test_00"),
        (None, ["nerf_syntetic/lego/black_400"], DatasetError, "nerf_synthetic"),
    ],
)
def test_wrong_names_fail_before_rendering(renderer, source, scenes, error, message):
    with pytest.raises(error, match=message):
        evaluate(source or renderer, scenes)
