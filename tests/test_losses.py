import math

import pytest
import torch

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.losses import colour_loss, consistency_loss, feature_alignment_loss, ramp, weighted_sum
from maskrf_core.model.gathering import ReferenceFeatures, query_colours
from maskrf_core.model.renderer import Renderer, RenderPass
from maskrf_core.model.rendering import MaskedPrediction
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import FreeMapSettings, ModelSettings
from maskrf_core.training.objective import Objective, draw_depth_pixels
from maskrf_core.training.schedules import masking_schedule
from tests.model.tiny import depth_term, fill_by_formula, tiny_batch, tiny_renderer, tiny_views


def test_colour_loss_by_hand():
    """Squares sum to 0.14 and 1; only the first ray counts, then both, then none."""
    rgb, truth = torch.tensor([[0.1, 0.2, 0.3], [1, 0, 0]]), torch.zeros(2, 3)
    assert colour_loss(rgb, truth, torch.tensor([True, False])).item() == pytest.approx(0.14 / 1.001)
    assert colour_loss(rgb, truth, torch.tensor([True, True])).item() == pytest.approx(1.14 / 2.001)
    assert colour_loss(rgb, truth, torch.tensor([False, False])).item() == 0


def test_query_colours_by_hand():
    """Whole pixels are read exactly, halfway is the mean, and beyond the border is black."""
    query = tiny_views([0.0], height=6, width=8)
    image = query.images[0]
    colours = query_colours(query, torch.tensor([[3.0, 2], [3.5, 2], [7, 5], [-1, 0], [8, 3]]))
    expected = [image[:, 2, 3], (image[:, 2, 3] + image[:, 2, 4]) / 2, image[:, 5, 7], torch.zeros(3), torch.zeros(3)]
    torch.testing.assert_close(colours, torch.stack(expected), atol=1e-5, rtol=0)


def test_depth_loss_by_hand():
    """Against the decoder's first means, pixel by pixel and view by view; out of range counts as its end."""
    torch.manual_seed(0)
    views, render_pass = tiny_views([0.0, 0.2], height=8, width=12), RenderPass()
    features = ReferenceFeatures.of(views, torch.zeros(2, 32, 2, 3), torch.randn(2, 32, 2, 3))
    depths = views.depths.clone()
    depths[0, 0, 1, 2], depths[1, 0, 7, 11] = 0.0, 99.0  # unknown: near; too far: far
    pixels = torch.tensor([[2.0, 1], [11, 7], [5, 4]])
    total = 0.0
    for view in range(2):
        for x, y in pixels.long().tolist():
            depth = min(max(depths[view, 0, y, x].item(), 2.0), 6.0)
            truth = (1 / 2 - 1 / depth) / (1 / 2 - 1 / 6)
            at = torch.tensor([x / 11 * 3 - 0.5, y / 7 * 2 - 0.5])  # in pixels of the 2×3 map
            grid = (2 * at + 1) / torch.tensor([3.0, 2]) - 1
            feature = torch.nn.functional.grid_sample(
                features.ray_features[view : view + 1],
                grid.view(1, 1, 1, 2),
                padding_mode="border",
                align_corners=False,
            )
            mean = render_pass.distribution_decoder(feature.flatten()).means[0].item()
            total += (mean - truth) ** 2
    assert depth_term(render_pass, features, depths, pixels).item() == pytest.approx(total / 6, rel=1e-4)


def test_depth_loss_without_unknown_depths():
    """Leaving the unknown pixel out is the mean over the others."""
    views, render_pass = tiny_views([0.0], height=8, width=12), RenderPass()
    features = ReferenceFeatures.of(views, torch.zeros(1, 32, 2, 3), torch.randn(1, 32, 2, 3))
    depths = views.depths.clone()
    depths[0, 0, 1, 2] = 0.0
    pixels = torch.tensor([[2.0, 1], [11, 7], [5, 4]])
    without = depth_term(render_pass, features, depths, pixels, unknown_is_near=False)
    assert without.item() == pytest.approx(depth_term(render_pass, features, depths, pixels[1:]).item(), rel=1e-3)
    assert without.item() != pytest.approx(depth_term(render_pass, features, depths, pixels).item(), rel=1e-3)
    nothing = depth_term(render_pass, features, depths * 0, pixels, unknown_is_near=False)
    assert nothing.item() == 0


@pytest.fixture
def two_views():
    torch.manual_seed(0)
    views, render_pass = tiny_views([0.0, 0.2], height=8, width=12), RenderPass()
    return render_pass, ReferenceFeatures.of(views, torch.zeros(2, 32, 2, 3), torch.randn(2, 32, 2, 3))


def one_view(features, view):
    only = slice(view, view + 1)
    views = features.views
    alone = {name: getattr(views, name)[only] for name in ("images", "K", "w2c", "depth_range", "depths")}
    return ReferenceFeatures.of(views.replace(**alone), features.image_features[only], features.ray_features[only])


def test_depth_loss_counts_pixels_whose_noisy_depth_agrees(two_views):
    """In view 0 the second pixel is far off and leaves; in view 1 all stay. The mean is over each view, then both."""
    render_pass, features = two_views
    truth = torch.full((2, 1, 8, 12), 3.0)
    # du = (1/3 - 1/z) · 3 in the range 2 to 6: 0.019 and 0.021 around the threshold of 0.02.
    within, beyond = (1 / (1 / 3 - du / 3) for du in (0.019, 0.021))
    seen = truth.clone()
    seen[0, 0, 1, 2], seen[0, 0, 7, 11] = within, beyond
    pixels = torch.tensor([[2.0, 1], [11, 7], [5, 4]])
    loss = depth_term(render_pass, features, truth, pixels, input_depths=seen)
    first = depth_term(render_pass, one_view(features, 0), truth[:1], pixels[[0, 2]])
    second = depth_term(render_pass, one_view(features, 1), truth[1:], pixels)
    assert loss.item() == pytest.approx((first + second).item() / 2, rel=1e-3)
    assert loss.item() != pytest.approx(depth_term(render_pass, features, truth, pixels).item(), rel=1e-3)
    assert depth_term(render_pass, features, truth, pixels, input_depths=truth + 2).item() == 0
    some_unknown = truth.clone()
    some_unknown[:, 0, 4, 5] = 0
    known = depth_term(render_pass, features, truth, pixels[:2], input_depths=truth)
    both = {"input_depths": some_unknown, "unknown_is_near": False}
    assert depth_term(render_pass, features, some_unknown, pixels, **both).item() == pytest.approx(
        known.item(), rel=1e-3
    )


def test_true_depths_supervise_where_views_have_them():
    """All of them if every data set is to be supervised, by default those with which the input depths agree."""
    batch, renderer = tiny_batch(), tiny_renderer()

    def terms(true_depths, depth_supervision=None):
        asked = SceneBatch(batch.query, batch.references.replace(true_depths=true_depths), batch.pixels_xy)
        overrides = {"data.depth_pixels": 200, "data.depth_supervision": depth_supervision}
        objective = Objective(renderer, load_config("finetune", overrides=overrides))
        return objective(asked, generator=torch.Generator().manual_seed(0))

    depths = batch.references.depths
    without, agreeing, all_count = terms(None), terms(depths), terms(depths, True)
    assert set(agreeing) - set(without) == {"depth_coarse", "depth_fine"}
    assert agreeing["depth_fine"].item() == pytest.approx(all_count["depth_fine"].item(), rel=1e-5)
    assert agreeing["colour_fine"].item() == without["colour_fine"].item()
    assert terms(depths + 1)["depth_fine"].item() == 0  # they agree nowhere
    assert terms(depths + 1, True)["depth_fine"].item() > 0


def test_depth_loss_trains_only_the_means():
    views, render_pass = tiny_views([0.0], height=8, width=12), RenderPass()
    ray_features = torch.randn(1, 32, 2, 3, requires_grad=True)
    features = ReferenceFeatures.of(views, torch.zeros(1, 32, 2, 3), ray_features)
    depth_term(render_pass, features, views.depths, torch.tensor([[2.0, 1]])).backward()
    assert ray_features.grad.abs().max() > 0
    assert render_pass.distribution_decoder.mean[0].weight.grad is not None
    assert render_pass.distribution_decoder.sharpness[0].weight.grad is None


def test_depth_pixels_cover_the_image_evenly():
    """Chi-square over 4 × 6 pixels with 23 degrees of freedom: x and y are not exchanged, no pixel is left out."""
    views = tiny_views([0.0], height=4, width=6)
    pixels = draw_depth_pixels(views, 24_000, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount((pixels[:, 1] * 6 + pixels[:, 0]).long(), minlength=24).double()
    assert torch.equal(pixels, pixels.round())
    assert len(counts) == 24
    assert ((counts - 1000) ** 2 / 1000).sum() < 49.7
    again = draw_depth_pixels(views, 24_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pixels, again)


def test_consistency_by_hand():
    """-p log(q + 1e-5) - (1 - p) log(1 - q + 1e-5): a sure hit that was missed, and a coin on both sides."""
    rendered = torch.tensor([[1.0, 0.5], [0.0, 0.25]], dtype=torch.float64).requires_grad_()
    own = torch.tensor([[0.0, 0.5], [0.0, 1.0]], dtype=torch.float64).requires_grad_()
    of_samples = [
        -math.log(1e-5),
        -math.log(0.5 + 1e-5),
        -math.log(1 + 1e-5),
        -0.25 * math.log(1 + 1e-5) - 0.75 * math.log(1e-5),
    ]
    loss = consistency_loss(rendered, own)
    assert loss.item() == pytest.approx(sum(of_samples) / 4)
    loss.backward()
    assert rendered.grad is None
    assert own.grad.isfinite().all()
    assert own.grad[0, 0] < 0 < own.grad[1, 1]


def test_consistency_terms_stand_beside_colours_in_the_per_scene_stage():
    """Both passes, of the query's own map; the rendered probabilities bring the map of a reference no gradient."""
    free = FreeMapSettings(views=5, height=8, width=12)
    renderer = Renderer(ModelSettings(visibility_init=None, free_maps=free, coarse_samples=12, fine_samples=6))
    fill_by_formula(renderer)
    batch = tiny_batch()
    batch = SceneBatch(
        batch.query.replace(training_index=torch.tensor([4])),
        batch.references.replace(training_index=torch.arange(4), depths=None, true_depths=None),
        batch.pixels_xy,
    )
    config = load_config("per_scene", overrides={"training.initial_weights": "x"})
    terms = Objective(renderer, config)(batch, generator=torch.Generator().manual_seed(0))
    assert list(terms) == ["colour_coarse", "colour_fine", "consistency_coarse", "consistency_fine"]
    (terms["consistency_coarse"] + terms["consistency_fine"]).backward()
    with_gradient = [each.grad is not None and bool(each.grad.abs().max() > 0) for each in renderer.free_maps.maps]
    assert with_gradient == [False, False, False, False, True]
    assert weighted_sum(terms, masking_schedule(config).weight_at(0)).item() == pytest.approx(
        sum(term.item() for term in terms.values())
    )


@pytest.mark.parametrize(("prediction", "loss"), [([2.0, 0], 0), ([0, 3], 2), ([-1, 0], 4), ([1, 1], 2 - math.sqrt(2))])
def test_feature_alignment_by_hand(prediction: list[float], loss: float):
    target = torch.zeros(1, 1, 16)
    target[..., 0] = 5
    predicted = torch.zeros(1, 1, 16)
    predicted[..., :2] = torch.tensor(prediction)
    masked = MaskedPrediction(torch.zeros(1, 1, 1, dtype=torch.bool), predicted, target)
    assert feature_alignment_loss(masked).item() == pytest.approx(loss, abs=1e-6)


def test_feature_alignment_is_a_mean_over_samples_and_finite_at_zero():
    target = torch.ones(1, 2, 16)
    predicted = torch.stack([torch.ones(16), torch.zeros(16)])[None].requires_grad_()
    loss = feature_alignment_loss(MaskedPrediction(torch.zeros(1, 1, 2, dtype=torch.bool), predicted, target))
    assert loss.item() == pytest.approx(1.0)
    loss.backward()
    assert predicted.grad.isfinite().all()


@pytest.mark.parametrize(
    ("step", "value"), [(0, 0), (19_999, 0), (20_000, 0), (25_000, 0.5), (30_000, 1), (400_000, 1)]
)
def test_ramp(step: int, value: float):
    assert ramp(step, start=20_000, warmup=10_000) == value


def test_ramp_without_warmup_is_a_step():
    assert [ramp(step, start=3, warmup=0) for step in (2, 3, 4)] == [0, 1, 1]
