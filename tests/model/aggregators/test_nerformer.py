"""NeRFormer reproduces its authors' tensors, stage by stage, and a masked training step with its gradients."""

import pytest
import torch

from maskrf_core.losses import colour_loss, feature_alignment_loss, feature_distance, ramp
from maskrf_core.model.aggregators.nerformer import (
    NeRFormer,
    PooledNeRFormer,
    TransformerLayer,
    depths_around,
    depths_at_hits,
    depths_in_strata,
    project_anywhere,
)
from maskrf_core.model.gathering import QueryRays
from maskrf_core.model.sampling import RaySamples, merge_depths

PASSES = ("coarse", "fine")


@pytest.fixture(scope="module")
def theirs(aggregator_tensors):
    return aggregator_tensors("nerformer_render")


@pytest.fixture(scope="module")
def step(aggregator_tensors):
    return aggregator_tensors("nerformer_masked_step")


@pytest.fixture(scope="module")
def renderer(renderer_with):
    return renderer_with("nerformer", 32)


@pytest.fixture(scope="module")
def rays(theirs) -> QueryRays:
    """Their rays, whose directions are unit vectors: what is a z-depth here is a distance with them."""
    return QueryRays(theirs["ray_origins"][0, 0], theirs["ray_directions"][0], theirs["near_far"])


@pytest.fixture(scope="module")
def references(theirs, reference_batch):
    """Their cameras in our axes, with lengths divided by 32."""
    c2w = theirs["ref_c2w_opengl"].double() @ torch.diag(torch.tensor([1.0, -1, -1, 1], dtype=torch.float64))
    return reference_batch.references.replace(w2c=torch.linalg.inv(c2w)[:, :3].float())


@torch.no_grad()
def test_image_features(renderer, references, theirs, assert_matches):
    maps = renderer.encode(references).maps
    assert_matches(maps[:, 3::8, ::4, ::4], theirs["image_features_some"])


@torch.no_grad()
def test_image_features_with_the_max_pool(renderer, references, theirs, assert_matches):
    pooled = PooledNeRFormer.image_encoder().eval()
    pooled.load_state_dict(renderer.image_encoder.state_dict())
    assert_matches(pooled(references.images[:2])[:, 3::8, ::4, ::4], theirs["image_features_pooled_some"])


def test_samplers(theirs, rays, assert_matches):
    tolerance = 1e-4 * float(theirs["near_far"][1])
    assert_matches(depths_in_strata(rays, theirs["coarse_jitter"][0]), theirs["coarse_depth"], tolerance)
    depths, hits = theirs["coarse_depth"][0], theirs["coarse_hit_prob"][0]
    at_hits = depths_at_hits(rays, hits, theirs["fine_uniform"][0], theirs["fine_jitter"][0])
    around = depths_around(rays, depths, hits, theirs["fine_noise"][0])
    assert_matches(torch.cat([at_hits, around], dim=1), theirs["fine_new_depth"], tolerance)


def test_evaluation_draws_nothing_and_follows_the_hits(rays):
    depths = NeRFormer.coarse_depths(rays, 8, None)
    near, far = rays.depth_range.tolist()
    assert torch.allclose(depths[0], near + (far - near) * (torch.arange(8) + 0.5) / 8)
    hits = torch.zeros_like(depths)
    hits[:, 5] = 1.0
    new = NeRFormer.new_depths(rays, depths, hits, 8, None)
    assert torch.equal(new, NeRFormer.new_depths(rays, depths, hits, 8, None))
    step = (far - near) / 8
    assert ((new[:, :4] - depths[:, 5:6]).abs() <= step / 2 + 1e-4).all()
    assert new[0, :4].diff().allclose(torch.tensor(step / 4), atol=1e-3)
    assert (new[:, 4:].mean(dim=1) - depths[:, 5]).abs().max() < 1e-4


@torch.no_grad()
@pytest.mark.parametrize("name", PASSES)
def test_both_passes(renderer, references, rays, theirs, assert_matches, name):
    depths, render_pass, stages = theirs[f"{name}_depth"][0], getattr(renderer, name), {}
    samples, network = RaySamples.at(depths, rays.depth_range), render_pass.aggregation
    points = rays.origin + depths[..., None] * rays.directions[:, None]
    pixels_xy = project_anywhere(references.K, references.w2c, points)
    assert_matches(pixels_xy[:, :8], theirs[f"{name}_proj_pixels_xy"], 1e-3)
    views, _ = render_pass.look(renderer.encode(references), rays, samples)
    beside = torch.cat([views.direction_difference, 2 * views.colours - 1], dim=-1)
    assert_matches(beside[:, :8], theirs[f"{name}_proj_direction_and_rgb"])
    assert_matches(views.image_features[:, :1, :, 3::8], theirs[f"{name}_proj_features_some"])
    assert_matches(views.position[:2], theirs[f"{name}_position_encoding"])
    watched = {"tokens": network.token, "position_feature": network.position,
               "after_first_view_transformer": network.view_layers[0],
               "after_first_ray_transformer": network.ray_layers[0]}  # fmt: skip
    hooks = [
        of.register_forward_hook(lambda *call, stage=stage: stages.update({stage: call[-1]}))
        for stage, of in watched.items()
    ]
    found, weights = network.weighed(views, None, samples, mask=None)
    for hook in hooks:
        hook.remove()
    stages["after_first_view_transformer"] = stages["after_first_view_transformer"].permute(2, 0, 1, 3)
    for stage, value in stages.items():
        kept = value[:1] if stage == "position_feature" else value[:, :1]
        assert_matches(kept, theirs[f"{name}_{stage}"])
    assert_matches(weights[:, :8], theirs[f"{name}_view_weight"])
    assert_matches(found.scene_features[:8], theirs[f"{name}_scene_feature"])
    assert_matches(found.colours, theirs[f"{name}_sample_rgb"])
    density = theirs[f"{name}_density"][0] * views.interval
    assert_matches(found.density, density, float(5e-4 * views.interval.max()))
    rendering = renderer.composite(found, depths, renderer.aggregator.ray_mask(views.valid.sum(dim=0)))
    assert rendering.ray_mask.all()
    assert_matches(rendering.hit_probability, theirs[f"{name}_hit_prob"])
    assert_matches(rendering.rgb, theirs[f"{name}_rgb"])
    assert_matches(rendering.depth, theirs[f"{name}_render_depth"], 1e-4 * float(theirs["near_far"][1]))


@pytest.fixture(scope="module")
def trained(renderer_with, references, rays, step):
    """A training pass without dropout, with the authors' draws in place of ours."""
    renderer = renderer_with("nerformer", 32).train()
    for layer in renderer.modules():
        if isinstance(layer, TransformerLayer):
            layer.dropout.p = 0.0
    mask = step["mask_index"][0, ..., 0].bool()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NeRFormer, "coarse_depths", lambda *args: step["coarse_depth"][0])
        patch.setattr(NeRFormer, "new_depths", lambda *args: step["fine_new_depth"][0])
        patch.setattr("maskrf_core.model.renderer.draw_mask", lambda *args, **kwargs: mask)
        features = renderer.encode(references)
        return renderer, features, renderer.render_rays(features, rays, mask_ratio=0.5, generator=torch.Generator())


def test_a_masked_step_and_its_gradients(trained, rays, step, theirs, assert_matches, assert_same_gradients):
    renderer, features, rendering = trained
    assert_matches(features.maps[:, 3::16, ::4, ::4], step["image_features_some"])
    for name in PASSES:
        found = getattr(rendering, name)
        assert_matches(found.rgb, step[f"{name}_rgb"])
        assert_matches(found.hit_probability, step[f"{name}_hit_prob"])
        assert_matches(found.depth, step[f"{name}_render_depth"], 1e-4 * float(theirs["near_far"][1]))
    positions = merge_depths(step["coarse_depth"][0], step["fine_new_depth"][0], rays.depth_range).coarse_positions
    assert torch.equal(positions, step["coarse_positions"][0].long())
    masked, at = rendering.masked, positions[:16, :, None].expand(-1, -1, 64)
    assert_matches(masked.target[:16], step["coarse_feature_target"])
    assert_matches(masked.prediction[:16], step["fine_feature_prediction"][0].gather(1, at))
    assert_matches(feature_distance(masked), step["feature_alignment_per_sample"])
    truth = theirs["query_rgb_gt"][0]
    colours = [
        colour_loss(found.rgb, truth, found.ray_mask, mean_over_channels=True)
        for found in (rendering.coarse, rendering.fine)
    ]
    alignment = feature_alignment_loss(masked)
    assert_matches(colours[0], step["loss_colour_coarse"], 1e-6)
    assert_matches(colours[1], step["loss_colour_fine"], 1e-6)
    assert_matches(alignment, step["feature_alignment"], 1e-6)
    totals = {
        at: sum(colours) + alignment * 0.1 * ramp(at, start=20_000, warmup=5_000) for at in (19_999, 22_500, 400_000)
    }
    for at, total in totals.items():
        assert_matches(total, step[f"step{at}_total"], 1e-6)
    totals[22_500].backward()
    assert assert_same_gradients(renderer, step, "nerformer") == 366
