"""A per-scene model reproduces the authors' tensors: its rendering, its own hit probabilities, its consistency loss."""

from pathlib import Path

import pytest
import torch

from maskrf_core.datasets.batches.augment import pad_by_reflection
from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.losses import consistency_loss
from maskrf_core.model.aggregators import contract
from maskrf_core.model.gathering import query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import FreeMapSettings, ModelSettings
from maskrf_core.training.objective import self_hit_probability


@pytest.fixture(scope="module")
def free_maps(shared: Path, reference_tensors) -> list[torch.Tensor]:
    """Those of the six reference views, then the query's."""
    published = torch.load(shared / "reference" / "tensors" / "per_scene_ray_feats.pth", weights_only=True)
    maps = [published["network_state_dict"][f"ray_feats.{place}"].float() for place in range(6)]
    return [*maps, reference_tensors("self_hit_prob.npz")["query_raw_visibility_features"]]


@pytest.fixture(scope="module")
def per_scene(published_renderer, free_maps) -> Renderer:
    settings = FreeMapSettings(views=7, height=24, width=32)
    renderer = Renderer(ModelSettings(visibility_init=None, free_maps=settings))
    general = published_renderer.state_dict()
    weights = {name: value for name, value in general.items() if not name.startswith("visibility_init.")}
    renderer.load_state_dict(weights | {f"free_maps.maps.{place}": value for place, value in enumerate(free_maps)})
    return renderer.eval()


@pytest.fixture(scope="module")
def scene_batch(reference_batch) -> SceneBatch:
    references = reference_batch.references.replace(depths=None, training_index=torch.arange(6))
    query = reference_batch.query.replace(training_index=torch.tensor([6]))
    return SceneBatch(query, references, reference_batch.pixels_xy)


@torch.no_grad()
def test_rendering(per_scene, scene_batch, reference_tensors, assert_matches):
    stages = reference_tensors("render_per_scene.npz")
    features = per_scene.encode(scene_batch.references)
    assert_matches(per_scene.free_maps(scene_batch.references), stages["raw_visibility_features"])
    assert_matches(features.image_features, stages["image_features"])
    assert_matches(features.ray_features, stages["visibility_features"])
    rendering = per_scene(scene_batch, mask_ratio=0.0)
    depth_tolerance = 1e-4 * float(scene_batch.query.depth_range.max())
    assert_matches(rendering.coarse.hit_probability, stages["coarse_hit_prob"])
    assert_matches(rendering.coarse.rgb, stages["coarse_rgb"])
    assert_matches(rendering.fine.sample_depths, stages["fine_depth"], depth_tolerance)
    assert_matches(rendering.fine.hit_probability, stages["fine_hit_prob"])
    assert_matches(rendering.fine.rgb, stages["fine_rgb"])
    assert_matches(rendering.fine.depth, stages["fine_render_depth"], depth_tolerance)


@torch.no_grad()
def test_self_hit_probability_and_consistency_loss(
    per_scene, scene_batch, reference_tensors, assert_matches, monkeypatch
):
    """In training mode, with the authors' draw of the new depths in place of ours."""
    theirs = reference_tensors("self_hit_prob.npz")
    monkeypatch.setattr(contract, "draw_fine_depths", lambda *args, **kwargs: theirs["fine_new_depth"][0])
    renderer = per_scene.train()
    rendering = renderer.render_rays(
        renderer.encode(scene_batch.references),
        query_rays(scene_batch),
        mask_ratio=0.0,
        generator=torch.Generator(),
    )
    features = renderer.encode(pad_by_reflection(scene_batch.query, 16))
    depth_range = scene_batch.query.depth_range[0]
    for networks, rendered, suffix in (
        (renderer.coarse, rendering.coarse, ""),
        (renderer.fine, rendering.fine, "_fine"),
    ):
        own = self_hit_probability(networks, features, scene_batch.pixels_xy, rendered.sample_depths, depth_range)
        assert_matches(rendered.hit_probability, theirs[f"hit_prob_nr{suffix}"])
        assert_matches(own, theirs[f"hit_prob_self{suffix}"])
        assert_matches(consistency_loss(rendered.hit_probability, own), theirs[f"loss_prob{suffix}"])
    renderer.eval()
