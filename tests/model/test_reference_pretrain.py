"""A masked pretraining step reproduces the authors' features, losses and gradients; the target follows as theirs."""

import pytest
import torch

from maskrf_core.checkpoints.published_names import our_name
from maskrf_core.losses import colour_loss, feature_alignment_loss, ramp
from maskrf_core.model import renderer as renderer_module
from maskrf_core.model.aggregators import contract
from maskrf_core.model.gathering import query_colours, query_rays
from maskrf_core.model.masking.prediction import MaskedModelling
from tests.model.tiny import depth_term

STEPS = [19_999, 25_000, 400_000]


@pytest.fixture(scope="module")
def step(reference_tensors):
    return reference_tensors("pretrain_step.npz")


@pytest.fixture(scope="module")
def pretrained(published_renderer, reference_batch, step):
    """Renderer, features and rendering of a training pass with the authors' draws in place of ours."""
    mask = step["mask_index"][0, ..., 0].bool()
    renderer = published_renderer.train()
    features = renderer.encode(reference_batch.references)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract, "draw_fine_depths", lambda *args, **kwargs: step["fine_new_depth"][0])
        patch.setattr(renderer_module, "draw_mask", lambda *args, **kwargs: mask)
        rendering = renderer.render_rays(
            features, query_rays(reference_batch), mask_ratio=0.5, generator=torch.Generator()
        )
    return renderer, features, rendering


@pytest.fixture(scope="module")
def losses(pretrained, reference_batch, step):
    renderer, features, rendering = pretrained
    truth = query_colours(reference_batch.query, reference_batch.pixels_xy)
    pixels = step["depth_loss_pixels"].float()
    depths = reference_batch.references.depths
    return {
        "rgb_nr": colour_loss(rendering.coarse.rgb, truth, rendering.coarse.ray_mask),
        "rgb_nr_fine": colour_loss(rendering.fine.rgb, truth, rendering.fine.ray_mask),
        "depth": depth_term(renderer.coarse, features, depths, pixels),
        "depth_fine": depth_term(renderer.fine, features, depths, pixels),
        "feats": feature_alignment_loss(rendering.masked),
    }


def test_colours_and_features(pretrained, step, assert_matches):
    rendering = pretrained[2]
    assert_matches(rendering.coarse.rgb, step["coarse_rgb"])
    assert_matches(rendering.fine.rgb, step["fine_rgb"])
    assert_matches(rendering.masked.target, step["coarse_feature_target"])
    at_coarse = step["fine_argsort"][0].argsort(dim=1)[:, :64]
    theirs = step["fine_feature_prediction"][0].gather(1, at_coarse[..., None].expand(-1, -1, 16))
    assert_matches(rendering.masked.prediction, theirs)


@pytest.mark.parametrize("at", STEPS)
def test_losses(losses, step, assert_matches, at):
    for name in ("rgb_nr", "rgb_nr_fine", "depth", "depth_fine"):
        assert_matches(losses[name], step[f"step{at}__loss_{name}"])
    assert_matches(losses["feats"], step[f"step{at}__feats_not_weighted"])
    weighted = losses["feats"] * 0.1 * ramp(at, start=20_000, warmup=10_000)
    assert_matches(weighted, step[f"step{at}__loss_feats"])


def test_depth_means(pretrained, reference_batch, step, assert_matches):
    from maskrf_core.model.gathering import sample_map

    renderer, features, _ = pretrained
    pixels = step["depth_loss_pixels"].float().expand(6, -1, -1)
    ray_features = sample_map(features.ray_features, pixels, *reference_batch.references.image_size)
    assert_matches(renderer.coarse.distribution_decoder(ray_features).means[..., 0], step["depth_mean"])
    assert_matches(renderer.fine.distribution_decoder(ray_features).means[..., 0], step["depth_mean_fine"])
    assert_matches(reference_batch.references.depths.clamp(min=1e-5), step["depth_target"])


def test_gradient_norms(pretrained, losses, step):
    """Every parameter's gradient of the total at step 25,000, where the feature loss has half its weight."""
    total = sum(losses[name] for name in ("rgb_nr", "rgb_nr_fine", "depth", "depth_fine"))
    (total + losses["feats"] * 0.1 * ramp(25_000, start=20_000, warmup=10_000)).backward()
    parameters = dict(pretrained[0].named_parameters())
    compared = 0
    for key, norm in step.items():
        if key.startswith("grad__"):
            gradient = parameters[our_name(key.removeprefix("grad__"))].grad
            assert gradient is not None, key
            assert gradient.norm().item() == pytest.approx(norm.item(), rel=1e-2, abs=1e-7), key
            compared += 1
    assert compared == 307


def test_target_follows_by_one_step(reference_tensors, assert_matches):
    arrays = reference_tensors("ema_update.npz")
    modelling = MaskedModelling()
    with torch.no_grad():
        for index, (target, online) in enumerate(
            zip(modelling.target_projector.parameters(), modelling.projector.parameters(), strict=True)
        ):
            target.copy_(arrays[f"before_{index}"])
            online.copy_(arrays[f"online_{index}"])
    modelling.update_target(0.99)
    for index, target in enumerate(modelling.target_projector.parameters()):
        assert_matches(target.detach(), arrays[f"after_{index}"], 1e-6)
