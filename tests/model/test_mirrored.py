"""Mirrored views, whose focal length in x is negative: everything that is geometry comes out mirrored, or the same."""

import pytest
import torch

from maskrf_core.cameras import back_project
from maskrf_core.datasets.batches.augment import flip
from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.model.gathering import ReferenceFeatures, query_rays
from maskrf_core.model.visibility_init import consistency_features
from tests.model.tiny import scattered, tiny_batch, tiny_renderer


@pytest.fixture
def batch():
    return tiny_batch()


@pytest.fixture
def mirrored(batch):
    width = batch.query.image_size[1]
    pixels_xy = batch.pixels_xy * torch.tensor([-1.0, 1]) + torch.tensor([width - 1.0, 0])
    return SceneBatch(flip(batch.query), flip(batch.references), pixels_xy)


def features_of(batch, scale=1):
    """Any feature maps, of the images' size over `scale`; convolutions are not symmetric, so theirs would not do."""
    views, (height, width) = len(batch.references), batch.references.image_size
    maps = scattered(views * 64 * height * width // scale**2).reshape(views, 64, height // scale, width // scale)
    return maps.split(32, dim=1)


def test_rays_of_mirrored_pixels_are_the_same(batch, mirrored):
    for ours, theirs in zip(query_rays(batch), query_rays(mirrored), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", [1, 4])
def test_the_renderer_gives_mirrored_pixels_the_same_colours(batch, mirrored, scale):
    renderer = tiny_renderer()
    features = features_of(batch, scale)
    ours = ReferenceFeatures.of(batch.references, *features)
    theirs = ReferenceFeatures.of(mirrored.references, *(part.flip(-1) for part in features))
    with torch.inference_mode():
        one, other = (
            renderer.render_rays(part, query_rays(of), mask_ratio=0.0, generator=None)
            for part, of in ((ours, batch), (theirs, mirrored))
        )
    assert one.coarse.ray_mask.any()
    for name in ("rgb", "depth", "sample_depths", "hit_probability", "ray_mask"):
        torch.testing.assert_close(getattr(one.fine, name), getattr(other.fine, name), atol=1e-4, rtol=1e-4)
    assert one.fine.rgb.std() > 0.01


def test_depth_maps_agree_as_before(batch, mirrored):
    """What the visibility features are made from: mirrored, and else unchanged."""
    ours = consistency_features(batch.references, batch.references.depths)
    theirs = consistency_features(mirrored.references, mirrored.references.depths)
    torch.testing.assert_close(theirs.flip(-1), ours, atol=1e-4, rtol=1e-3)


def test_points_of_mirrored_depth_maps_are_the_same(batch, mirrored):
    ours, theirs = (
        back_project(views.K, views.w2c, views.depths[:, 0]) for views in (batch.references, mirrored.references)
    )
    torch.testing.assert_close(theirs.flip(2), ours, atol=1e-4, rtol=1e-4)
