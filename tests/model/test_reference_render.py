"""Evaluation with depth init reproduces the authors' tensors, stage by stage."""

import pytest
import torch

from maskrf_core.model.gathering import query_colours, query_rays
from maskrf_core.model.sampling import RaySamples


@torch.no_grad()
def test_feature_maps(published_renderer, reference_batch, rendered, assert_matches):
    features = published_renderer.encode(reference_batch.references)
    raw = published_renderer.visibility_init(reference_batch.references)
    assert_matches(raw, rendered["raw_visibility_features"])
    assert_matches(features.image_features, rendered["image_features"])
    assert_matches(features.ray_features, rendered["visibility_features"])


@torch.no_grad()
def test_projection_and_visibility_of_coarse_samples(published_renderer, reference_batch, rendered, assert_matches):
    features = published_renderer.encode(reference_batch.references)
    depths, rays = rendered["coarse_depth"][0], query_rays(reference_batch)
    samples, visibility = published_renderer.coarse.look(features, rays, RaySamples.at(depths, rays.depth_range))
    assert torch.equal(samples.valid.flatten(), rendered["proj_valid"].flatten())
    assert_matches(visibility.visibility, rendered["proj_vis"])
    assert_matches(visibility.hit_probability, rendered["proj_hit_prob"])


@torch.no_grad()
def test_projected_pixels_and_depths(reference_batch, rendered, assert_matches):
    from maskrf_core.cameras import project

    rays = query_rays(reference_batch)
    points = rays.origin + rendered["coarse_depth"][0][..., None] * rays.directions[:, None]
    references = reference_batch.references
    projection = project(references.K, references.w2c, points, *references.image_size)
    far = float(references.depth_range.max())
    assert_matches(projection.depth, rendered["proj_depth"], 1e-4 * far)
    assert_matches(projection.pixels_xy, rendered["proj_pixels_xy"])


@torch.no_grad()
def test_both_passes(published_renderer, reference_batch, rendered, assert_matches):
    rendering = published_renderer(reference_batch, mask_ratio=0.0)
    depth_tolerance = 1e-4 * float(rendered["query_depth_range"].max())
    assert_matches(rendering.coarse.sample_depths, rendered["coarse_depth"], depth_tolerance)
    assert_matches(rendering.coarse.hit_probability, rendered["coarse_hit_prob"])
    assert_matches(rendering.coarse.rgb, rendered["coarse_rgb"])
    assert_matches(rendering.fine.sample_depths, rendered["fine_depth"], depth_tolerance)
    assert_matches(rendering.fine.hit_probability, rendered["fine_hit_prob"])
    assert_matches(rendering.fine.rgb, rendered["fine_rgb"])
    assert_matches(rendering.fine.depth, rendered["fine_render_depth"], depth_tolerance)
    assert torch.equal(rendering.coarse.ray_mask, rendered["ray_mask"][0])
    assert torch.equal(rendering.fine.ray_mask, rendered["ray_mask"][0])


def test_true_colours(reference_batch, rendered, assert_matches):
    assert_matches(query_colours(reference_batch.query, reference_batch.pixels_xy), rendered["query_rgb_gt"])


@pytest.mark.parametrize("rays_per_chunk", [7, 96, 4096])
def test_chunks_change_nothing(published_renderer, reference_batch, rendered, assert_matches, rays_per_chunk):
    rendering = published_renderer.render(reference_batch, rays_per_chunk)
    assert_matches(rendering.fine.rgb, rendered["fine_rgb"])
