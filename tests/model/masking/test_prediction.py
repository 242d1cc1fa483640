"""What masked features predict: projector, predictor, target, colours; by hand, and what is trained by it."""

import pytest
import torch

from maskrf_core.model.aggregators.neuray import PointPrediction
from maskrf_core.model.masking.prediction import MaskedModelling
from maskrf_core.settings.sections import MaskingSettings
from tests.model.tiny import masked_terms


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def head_by_hand(layers, rows):
    """Linear, batch norm over all rows, ReLU, linear."""
    hidden = rows @ layers[0].weight.T + layers[0].bias
    normal = (hidden - hidden.mean(dim=0)) / (hidden.var(dim=0, unbiased=False) + 1e-5).sqrt()
    return normal.clamp(min=0) @ layers[3].weight.T + layers[3].bias


def test_target_starts_as_the_projector_and_has_no_gradient():
    modelling = MaskedModelling()
    features = torch.randn(5, 6, 16, requires_grad=True)
    torch.testing.assert_close(
        modelling.target_projector(features.flatten(0, 1)), modelling.projector(features.flatten(0, 1))
    )
    target = modelling.target(features)
    assert not target.requires_grad
    assert not any(parameter.requires_grad for parameter in modelling.target_projector.parameters())
    modelling.predict(features).sum().backward()
    assert all(parameter.grad is None for parameter in modelling.target_projector.parameters())
    assert all(parameter.grad is not None for parameter in modelling.projector.parameters())
    assert all(parameter.grad is not None for parameter in modelling.predictor.parameters())


def test_prediction_by_hand():
    """Linear, batch norm over all rows, ReLU, linear; twice for the prediction, once for the target."""
    modelling = MaskedModelling().double()
    features = torch.randn(3, 4, 16, dtype=torch.float64, generator=seeded())
    rows = features.reshape(12, 16)
    torch.testing.assert_close(modelling.target(features), head_by_hand(modelling.projector, rows).view(3, 4, 16))
    expected = head_by_hand(modelling.predictor, head_by_hand(modelling.projector, rows)).view(3, 4, 16)
    torch.testing.assert_close(modelling.predict(features), expected)


def test_target_follows_by_one_percent():
    modelling = MaskedModelling()
    with torch.no_grad():
        for parameter in modelling.projector.parameters():
            parameter.fill_(2.0)
        for parameter in modelling.target_projector.parameters():
            parameter.fill_(1.0)
    for step in range(1, 4):
        modelling.update_target(0.99)
        for parameter in modelling.target_projector.parameters():
            torch.testing.assert_close(parameter, torch.full_like(parameter, 2 - 0.99**step))
        assert all((parameter == 2).all() for parameter in modelling.projector.parameters())


def test_running_statistics_of_the_target_are_its_own():
    modelling = MaskedModelling()
    modelling.predict(torch.randn(4, 8, 16) + 3)
    before = modelling.target_projector[1].running_mean.clone()
    modelling.update_target(0.99)
    assert torch.equal(modelling.target_projector[1].running_mean, before)
    modelling.target(torch.randn(4, 8, 16) - 3)
    assert not torch.equal(modelling.target_projector[1].running_mean, before)


def points(rays: int = 3, samples: int = 6, seed: int = 1) -> PointPrediction:
    draw = seeded(seed)
    features = torch.randn(rays, samples, 16, generator=draw, dtype=torch.float64).requires_grad_()
    colours = torch.rand(rays, samples, 3, generator=draw, dtype=torch.float64).requires_grad_()
    return PointPrediction(features, torch.rand(rays, samples, generator=draw, dtype=torch.float64), colours)


def predicted_of(modelling: MaskedModelling):
    """Fine and coarse points, where the coarse ones stand, and what is predicted of them."""
    fine, coarse = points(3, 6, 1), points(3, 4, 2)
    at = torch.tensor([[0, 1, 2, 3], [0, 2, 4, 5], [1, 2, 3, 5]])
    mask = torch.zeros(2, 3, 6, dtype=torch.bool)
    return fine, coarse, at, modelling(mask, fine, coarse, at)


def at_coarse(features: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    return torch.stack([of_ray[index] for of_ray, index in zip(features, at, strict=True)])


@pytest.mark.parametrize("ema_target", [True, False])
@pytest.mark.parametrize("projector", [True, False])
@pytest.mark.parametrize("predictor", [True, False])
def test_each_head_by_hand(ema_target: bool, projector: bool, predictor: bool):
    modelling = MaskedModelling(
        MaskingSettings(ema_target=ema_target, projector=projector, predictor=predictor)
    ).double()
    with torch.no_grad():  # so that the target's projector is another than the projector
        modelling.target_projector[0].weight.mul_(0.5)
    fine, coarse, at, masked = predicted_of(modelling)

    rows, target = fine.scene_features.reshape(18, 16), coarse.scene_features.reshape(12, 16)
    if projector:
        rows = head_by_hand(modelling.projector, rows)
        target = head_by_hand(modelling.target_projector if ema_target else modelling.projector, target)
    if predictor:
        rows = head_by_hand(modelling.predictor, rows)
    assert masked.of == "scene_feature"
    torch.testing.assert_close(masked.prediction, at_coarse(rows.view(3, 6, 16), at))
    torch.testing.assert_close(masked.target, target.view(3, 4, 16))

    (term,) = masked_terms(masked).values()
    term.backward()
    assert not masked.target.requires_grad
    assert coarse.scene_features.grad is None
    assert fine.scene_features.grad.isfinite().all()
    trained = {name for name, parameter in modelling.named_parameters() if parameter.grad is not None}
    used = ["projector."] * projector + ["predictor."] * predictor
    assert trained == {name for name, _ in modelling.named_parameters() if name.startswith(tuple(used) or "none")}


def test_colours_by_hand():
    """A linear map of the fine features against the coarse pass's own colours, which are not trained by it."""
    modelling = MaskedModelling(MaskingSettings(target="colour")).double()
    with torch.no_grad():
        modelling.colour_head.weight.copy_(torch.randn(3, 16, generator=seeded(), dtype=torch.float64))
        modelling.colour_head.bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
    fine, coarse, at, masked = predicted_of(modelling)
    assert masked.of == "colour"
    total = 0.0
    for ray in range(3):
        for sample in range(4):
            feature = fine.scene_features[ray, at[ray, sample]]
            guess = modelling.colour_head.weight @ feature + modelling.colour_head.bias
            total += ((guess - coarse.colours[ray, sample]) ** 2).sum().item()
    terms = masked_terms(masked)
    assert terms.keys() == {"masked_colour"}
    assert terms["masked_colour"].item() == pytest.approx(total / 12)
    terms["masked_colour"].backward()
    assert coarse.colours.grad is None
    assert coarse.scene_features.grad is None
    assert fine.scene_features.grad.abs().max() > 0
    trained = {name for name, parameter in modelling.named_parameters() if parameter.grad is not None}
    assert trained == {"colour_head.weight", "colour_head.bias"}


@pytest.mark.parametrize("target", ["raw", "normalised"])
def test_unprojected_features_by_hand(target: str):
    """The squared error to the coarse features themselves, or to them at mean 0 and variance 1 over the channels."""
    modelling = MaskedModelling(MaskingSettings(target=target)).double()
    fine, coarse, at, masked = predicted_of(modelling)
    asked = coarse.scene_features.detach()
    if target == "normalised":
        spread = ((asked - asked.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True)
        asked = (asked - asked.mean(-1, keepdim=True)) / (spread + 1e-5).sqrt()
    rows = head_by_hand(modelling.predictor, head_by_hand(modelling.projector, fine.scene_features.reshape(18, 16)))
    expected = (at_coarse(rows.view(3, 6, 16), at) - asked).square().mean()
    terms = masked_terms(masked)
    assert terms.keys() == {"masked_feature"}
    torch.testing.assert_close(terms["masked_feature"], expected)
    terms["masked_feature"].backward()
    assert coarse.scene_features.grad is None
    assert fine.scene_features.grad.abs().max() > 0
    assert not modelling.settings.target_follows


def test_the_colour_head_starts_black_and_can_leave_it():
    modelling = MaskedModelling(MaskingSettings(target="colour")).double()
    *_, masked = predicted_of(modelling)
    assert (masked.prediction == 0).all()
    masked_terms(masked)["masked_colour"].backward()
    assert modelling.colour_head.weight.grad.abs().max() > 0


def test_the_colour_head_is_made_without_a_draw():
    torch.manual_seed(0)
    for _ in range(2):
        for inputs, outputs in [(16, 16)] * 2:
            torch.nn.Linear(inputs, outputs)
    expected = torch.rand(1)
    torch.manual_seed(0)
    MaskedModelling()
    assert torch.equal(torch.rand(1), expected)


def test_weights_are_the_same_for_all_settings():
    settings = [{}, {"target": "colour"}, {"projector": False, "predictor": False, "ema_target": False}]
    names = [list(MaskedModelling(MaskingSettings(**of)).state_dict()) for of in settings]
    assert names[0] == names[1] == names[2]
    assert names[0][-2:] == ["colour_head.weight", "colour_head.bias"]


@pytest.mark.parametrize("target", ["scene_feature", "colour"])
def test_gradients_by_finite_differences(target: str):
    modelling = MaskedModelling(MaskingSettings(target=target)).double()
    with torch.no_grad():
        modelling.colour_head.weight.fill_(0.1)
    coarse, at = points(2, 3, 2), torch.tensor([[0, 1, 3], [1, 2, 3]])
    rest = points(2, 4, 3)

    def loss(features):
        masked = modelling(torch.zeros(1, 2, 4, dtype=torch.bool), rest._replace(scene_features=features), coarse, at)
        (term,) = masked_terms(masked).values()
        return term

    assert torch.autograd.gradcheck(loss, points(2, 4, 4).scene_features.detach().requires_grad_())
