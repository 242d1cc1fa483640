"""Loss terms that settings switch on: of masked colours, of ranges of ratios, of the direct head."""

import pytest
import torch

from maskrf_core.losses import masked_colour_loss, weighted_sum
from maskrf_core.model.gathering import query_colours
from maskrf_core.model.masking.strategies import STRATEGIES
from maskrf_core.model.renderer import Renderer, hits_at
from maskrf_core.model.rendering import MaskedPrediction
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import MaskingSettings, ModelSettings
from maskrf_core.training.objective import Objective
from maskrf_core.training.schedules import masking_schedule
from tests.model.tiny import tiny_batch


def test_masked_colours_by_hand():
    """Squares sum to 0.14 and 1 over the channels; the mean of both samples."""
    target = torch.tensor([[[0.1, 0.2, 0.3], [1.0, 0, 0]]])
    masked = MaskedPrediction(torch.zeros(1, 1, 2, dtype=torch.bool), torch.zeros(1, 2, 3), target, "colour")
    assert masked_colour_loss(masked).item() == pytest.approx(0.57)


@pytest.mark.parametrize("term", ["feature_alignment", "masked_colour", "masked_feature"])
def test_what_masked_features_predict_has_its_weight_and_ramp(term: str):
    config = load_config("pretrain", overrides={"training.steps": 400, "masking.start": 0.05, "masking.warmup": 0.025})
    schedule = masking_schedule(config)
    terms = {"colour_fine": torch.tensor(3.0), term: torch.tensor(7.0)}
    totals = [weighted_sum(terms, schedule.weight_at(step)).item() for step in (19, 20, 25, 30, 99)]
    assert totals == pytest.approx([3, 3, 3.35, 3.7, 3.7])


def objective_terms(seed: int = 0, model=None, **masking):
    config = load_config("pretrain", overrides={"data.depth_pixels": 20})
    config = config.model_copy(update={"masking": MaskingSettings(**masking)})
    torch.manual_seed(0)
    renderer = Renderer(model or ModelSettings(coarse_samples=12, fine_samples=6), config.masking)
    ratios = []
    render_rays = renderer.render_rays
    renderer.render_rays = lambda *of, mask_ratio, **how: (
        ratios.append(mask_ratio),
        render_rays(*of, mask_ratio=mask_ratio, **how),
    )[1]
    generator = torch.Generator().manual_seed(seed)
    return Objective(renderer, config)(tiny_batch(), generator=generator), ratios[0]


def test_a_step_draws_its_ratio_from_its_own_generator():
    asked = {"mask_ratio": 0.2, "largest_mask_ratio": 0.6}
    (terms, first), (same, again), (_, other) = (objective_terms(seed, **asked) for seed in (0, 0, 1))
    assert 0.2 < first <= 0.6
    assert first == again != other
    assert terms["feature_alignment"].item() == same["feature_alignment"].item()
    _, fixed = objective_terms(mask_ratio=0.2)
    assert fixed == 0.2


def test_recomputing_changes_no_term_and_no_gradient():
    """Nor does it matter how many rays are recomputed at once."""
    found = []
    for rays in (None, 3, 99):
        config = load_config("pretrain", overrides={"data.depth_pixels": 20, "hardware.recomputed_rays": rays})
        torch.manual_seed(0)
        renderer = Renderer(ModelSettings(coarse_samples=12, fine_samples=6), config.masking)
        terms = Objective(renderer, config)(tiny_batch(), generator=torch.Generator().manual_seed(0))
        sum(terms.values()).backward()
        gradients = torch.cat([of.grad.flatten() for of in renderer.parameters() if of.grad is not None])
        found.append((terms, gradients))
    (terms, gradients), *others = found
    for same, of_same in others:
        torch.testing.assert_close(same, terms, atol=1e-5, rtol=1e-5)
        assert (of_same - gradients).norm() <= 1e-4 * gradients.norm()


def test_a_ratio_that_masks_no_sample_still_has_its_term():
    terms, ratio = objective_terms(mask_ratio=0.0, largest_mask_ratio=1e-3)
    assert 0 < ratio <= 1e-3
    assert terms["feature_alignment"].isfinite()


def test_terms_follow_the_settings():
    usual, _ = objective_terms()
    assert "feature_alignment" in usual
    colours, _ = objective_terms(target="colour")
    assert set(usual) - set(colours) == {"feature_alignment", "chance_alignment"}
    assert set(colours) - set(usual) == {"masked_colour"}
    direct, _ = objective_terms(model=ModelSettings(coarse_samples=12, fine_samples=6, direct_rendering=True))
    assert set(direct) - set(usual) == {"colour_direct_coarse", "colour_direct_fine"}
    for name in ("colour_coarse", "colour_fine", "depth_fine", "feature_alignment"):
        assert direct[name].item() == usual[name].item()


def test_direct_colours_count_where_the_rays_are_seen():
    """The term is the colour loss of the direct picture, with the coarse pass's ray mask for both."""
    renderer = Renderer(ModelSettings(coarse_samples=12, fine_samples=6, direct_rendering=True)).eval()
    config = load_config("finetune", overrides={"data.depth_pixels": 20})
    batch = tiny_batch()
    terms = Objective(renderer, config)(batch, generator=torch.Generator().manual_seed(0))
    rendering = renderer(batch, mask_ratio=0.0, generator=torch.Generator().manual_seed(0))
    seen = rendering.coarse.ray_mask
    truth = query_colours(batch.query, batch.pixels_xy)
    assert 0 < seen.sum() < len(seen)
    for name, part in (("coarse", rendering.coarse), ("fine", rendering.fine)):
        by_hand = sum(((part.direct_rgb[ray] - truth[ray]) ** 2).sum() for ray in seen.nonzero()[:, 0])
        assert terms[f"colour_direct_{name}"].item() == pytest.approx((by_hand / (seen.sum() + 1e-3)).item(), rel=1e-4)


def test_zeros_stand_in_for_masked_features():
    """As a token of zeros would, in whose place they stand; and the token learns nothing."""
    found = []
    for token, scale in (("learned", 1.0), ("learned", 0.0), ("zeros", 1.0)):
        torch.manual_seed(0)
        renderer = Renderer(ModelSettings(coarse_samples=12, fine_samples=6), MaskingSettings(token=token))
        with torch.no_grad():
            renderer.fine.aggregation.mask_token.mul_(scale)
        rendering = renderer(tiny_batch(), mask_ratio=0.5, generator=torch.Generator().manual_seed(0))
        rendering.fine.rgb.sum().backward()
        found.append((rendering.fine.rgb, renderer.fine.aggregation.mask_token.grad))
    (learned, _), (emptied, _), (zeros, gradient) = found
    assert torch.equal(zeros, emptied)
    assert not torch.equal(zeros, learned)
    assert gradient is None


def test_hits_of_fine_samples_are_those_of_the_coarse_sample_up_to_them():
    hits = torch.tensor([[0.1, 0.6, 0.3], [0.2, 0.3, 0.4]])
    positions = torch.tensor([[0, 2, 4], [1, 2, 3]])
    expected = torch.tensor([[0.1, 0.1, 0.6, 0.6, 0.3], [0.2, 0.2, 0.3, 0.4, 0.4]])
    assert torch.equal(hits_at(hits, positions, 5), expected)


def test_the_renderer_hands_the_coarse_hits_to_a_strategy_that_asks_for_them(monkeypatch):
    seen = []

    def watching(views, rays, samples, mask_ratio, *, hit_probability, generator):
        seen.append(hit_probability)
        return torch.ones(views, rays, samples, dtype=torch.bool)

    monkeypatch.setitem(STRATEGIES, "watching", watching)
    renderer = Renderer(ModelSettings(coarse_samples=12, fine_samples=6), MaskingSettings(strategy="watching"))
    rendering = renderer(tiny_batch(), mask_ratio=0.5, generator=torch.Generator().manual_seed(0))
    coarse = rendering.coarse
    at = torch.searchsorted(coarse.sample_depths.contiguous(), rendering.fine.sample_depths.contiguous(), right=True)
    expected = coarse.hit_probability.gather(1, (at - 1).clamp(min=0))
    assert torch.equal(seen[0], expected)
    assert not seen[0].requires_grad
