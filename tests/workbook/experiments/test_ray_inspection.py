"""One ray, looked at: it is the ray that is rendered, and its views' shares are those of their colours."""

import pytest
import torch

from maskrf_core.cameras import project
from maskrf_core.model.gathering import rays_of
from maskrf_core.workbook.experiments.ray_inspection import look_along, projections
from tests.workbook.small_inspection import small_inspection

XY = (48.0, 55.0)


@pytest.fixture(scope="module")
def inspection():
    return small_inspection(0)


@pytest.fixture(scope="module")
def rays(inspection):
    return rays_of(inspection.encoded("seed 0")[0].query, torch.tensor([XY]))


def test_it_is_what_the_renderer_renders(inspection, rays):
    batch, features = inspection.encoded("seed 0")
    look = inspection.look("seed 0", XY)
    with torch.inference_mode():
        fine = inspection.renderers["seed 0"].render_rays(features, rays, mask_ratio=0.0, generator=None).fine
    torch.testing.assert_close(look.rgb, fine.rgb[0])
    torch.testing.assert_close(look.hits, fine.hit_probability[0])
    torch.testing.assert_close(look.depths, fine.sample_depths[0])
    assert not look.mask.any()
    assert look.distances is None
    assert len(look.shares) == len(batch.references) == 3


def test_shares_are_how_much_of_each_photograph_is_in_the_colour(inspection, rays):
    batch, _ = inspection.encoded("seed 0")
    primaries = torch.eye(3)[:, :, None, None].expand_as(batch.references.images).contiguous()
    renderer = inspection.renderers["seed 0"]
    with torch.inference_mode():
        look = look_along(renderer, renderer.encode(batch.references.replace(images=primaries)), rays)
    torch.testing.assert_close(look.shares, look.rgb)
    torch.testing.assert_close(look.shares.sum(), look.hits.sum())


def test_a_mask_changes_what_the_network_makes_and_is_of_the_ratio_strategy_and_seed(inspection):
    asked = {"mask_ratio": 0.5, "strategy": "ray"}
    look = inspection.look("seed 0", XY, seed=3, **asked)
    assert look.mask.any(dim=0).sum() == look.mask.all(dim=0).sum() == 8
    assert torch.equal(look.mask, inspection.look("seed 0", XY, seed=3, **asked).mask)
    assert not torch.equal(look.mask, inspection.look("seed 0", XY, seed=4, **asked).mask)
    assert not torch.equal(look.masked_hits, look.hits)
    torch.testing.assert_close(look.hits, inspection.look("seed 0", XY).hits)
    assert look.distances.shape == look.coarse_positions.shape == (12,)
    assert ((look.distances >= 0) & (look.distances <= 4)).all()


def test_samples_are_drawn_where_they_are_seen(inspection, rays):
    batch, _ = inspection.encoded("seed 0")
    views, depths = batch.references, torch.tensor([[2.5, 1e-3, 1e6]])
    found = projections(views, rays, depths)
    points = rays.origin + depths[..., None] * rays.directions[:, None]
    expected = project(views.K, views.w2c, points, *views.image_size)
    assert torch.equal(found[expected.valid], expected.pixels_xy[expected.valid])
    assert found[~expected.valid].isnan().all()
    assert expected.valid[:, 0, 0].all()
