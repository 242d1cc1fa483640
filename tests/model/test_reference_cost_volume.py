"""Evaluation with cost-volume init reproduces the authors' tensors, stage by stage."""

from pathlib import Path

import pytest
import torch

from maskrf_core.checkpoints.published_checkpoints import load_published
from maskrf_core.datasets.batches.batch import SceneBatch, SourceViews, Views
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.visibility_init import expected_depth


@pytest.fixture(scope="module")
def renderer(shared: Path) -> Renderer:
    return load_published(shared / "reference" / "tensors" / "generalization_cost_volume.pth")


@pytest.fixture(scope="module")
def volume(reference_tensors) -> dict[str, torch.Tensor]:
    """Ten views, the first six of which are the reference views, their neighbours, and MVSNet's answer."""
    return reference_tensors("cost_volume.npz")


@pytest.fixture(scope="module")
def expected(reference_tensors) -> dict[str, torch.Tensor]:
    return reference_tensors("render_cost_volume_init.npz")


@pytest.fixture(scope="module")
def batch(reference_batch, volume) -> SceneBatch:
    references, others = (
        Views(*(volume[f"src_{part}"][rows] for part in ("images", "K", "w2c", "depth_range")))
        for rows in (slice(0, 6), slice(6, 10))
    )
    for part in ("images", "K", "w2c", "depth_range"):
        assert torch.equal(getattr(references, part), getattr(reference_batch.references, part))
    sources = SourceViews(others, volume["neighbor_ids"])
    return SceneBatch(reference_batch.query, references, reference_batch.pixels_xy, sources)


@torch.no_grad()
def test_probabilities_and_depth(renderer, batch, volume, assert_matches):
    probabilities = renderer.visibility_init.plane_probabilities(batch.references, batch.sources)
    assert_matches(probabilities, volume["mvsnet_probability_volume"].float(), 5e-4)
    assert_matches(expected_depth(probabilities, batch.references.depth_range), volume["mvsnet_depth"], 5e-3)


@torch.no_grad()
def test_feature_maps(renderer, batch, expected, assert_matches):
    features = renderer.encode(batch.references, batch.sources)
    raw = renderer.visibility_init(batch.references, batch.sources)
    assert_matches(raw, expected["raw_visibility_features"], 5e-4)
    assert_matches(features.image_features, expected["image_features"])
    assert_matches(features.ray_features, expected["visibility_features"], 5e-4)


@torch.no_grad()
def test_both_passes(renderer, batch, expected, assert_matches):
    rendering = renderer(batch, mask_ratio=0.0)
    depth_tolerance = 1e-4 * float(batch.query.depth_range.max())
    assert_matches(rendering.coarse.sample_depths, expected["coarse_depth"], depth_tolerance)
    assert_matches(rendering.coarse.hit_probability, expected["coarse_hit_prob"])
    assert_matches(rendering.coarse.rgb, expected["coarse_rgb"])
    assert_matches(rendering.fine.sample_depths, expected["fine_depth"], 1e-3)
    assert_matches(rendering.fine.hit_probability, expected["fine_hit_prob"])
    assert_matches(rendering.fine.rgb, expected["fine_rgb"])
    assert_matches(rendering.fine.depth, expected["fine_render_depth"], depth_tolerance)
    assert torch.equal(rendering.coarse.ray_mask, expected["ray_mask"][0])
    assert torch.equal(rendering.fine.ray_mask, expected["ray_mask"][0])
