"""Thinned pictures: the pixels that are rendered are those of the whole picture."""

import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews, open_scenes
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import psnr, ssim
from maskrf_core.rendering.rendered_views import rendered_views
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.workbook.experiments.study.scoring import thinned_scores


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    torch.manual_seed(0)
    return Renderer(ModelSettings(coarse_samples=4, fine_samples=2)).eval()


@pytest.fixture(scope="module")
def views() -> SceneViews:
    (views,) = open_scenes(["demo/test_00"], "data", None)
    return views


@pytest.mark.parametrize(("most_pixels", "every"), [(96 * 96, 1), (96 * 96 - 1, 2), (1100, 3)])
def test_a_thinned_picture_has_every_nth_pixel_of_the_whole_one(renderer, views, most_pixels, every):
    (whole,) = rendered_views(renderer, [views], "test", 2, 1, 4096)
    fine, truth = (np.ascontiguousarray(picture[::every, ::every]) for picture in (whole.fine, whole.truth))
    depth = views.scene.depth(whole.image_id)
    references, _ = views.scene.split("test")
    batch = evaluation_batch(views, whole.image_id, references, 2, renderer.inputs)
    found = thinned_scores(renderer, batch, depth, 4096, most_pixels)
    assert found["psnr"] == pytest.approx(psnr(fine, truth), abs=1e-4)
    assert found["ssim"] == pytest.approx(ssim(fine, truth), abs=1e-4)
    error = np.abs(whole.fine_depth - depth)[::every, ::every]
    there = depth[::every, ::every] > 0
    expected = np.median(error[there] / depth[::every, ::every][there])
    assert found["depth error"] == pytest.approx(expected, rel=1e-4)
