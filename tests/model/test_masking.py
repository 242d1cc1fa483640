from itertools import combinations

import pytest
import torch

from maskrf_core.model.mask_drawing import draw_mask
from maskrf_core.model.masking import EMA_DECAY, MaskedModelling


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chi_square(counts: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize(("ratio", "chosen"), [(0.0, 0), (0.01, 0), (0.25, 24), (0.5, 48), (0.99, 95)])
def test_every_ray_has_exactly_its_share_of_masked_samples(ratio: float, chosen: int):
    mask = draw_mask("ray_and_view", 8, 50, 96, ratio, generator=seeded())
    assert mask.shape == (8, 50, 96)
    assert mask.dtype == torch.bool
    assert (mask.any(dim=0).sum(dim=1) == chosen).all()


def test_number_of_masked_views_is_uniform():
    """1 … V views of a chosen sample, each number as often (chi-square, 4 degrees of freedom, p = 0.001)."""
    views = 5
    numbers = draw_mask("ray_and_view", views, 200, 40, 0.5, generator=seeded(1)).sum(dim=0)
    counts = torch.bincount(numbers[numbers > 0], minlength=views + 1)[1:].double()
    assert counts.sum() == 200 * 20
    assert chi_square(counts, torch.full((views,), 800.0)) < 18.5


def test_every_view_is_masked_equally_often():
    """(V + 1) / 2 of V views on average: of 4000 chosen samples each view misses about 1600."""
    share = draw_mask("ray_and_view", 5, 200, 40, 0.5, generator=seeded(2)).double().sum(dim=(1, 2)) / 4000
    torch.testing.assert_close(share, torch.full((5,), 0.6, dtype=torch.float64), atol=0.03, rtol=0)


def test_every_pair_of_views_is_masked_equally_often():
    """Where exactly two of four views are masked, the six pairs are equally likely (5 degrees of freedom)."""
    mask = draw_mask("ray_and_view", 4, 300, 40, 0.5, generator=seeded(3)).flatten(1)
    two = mask[:, mask.sum(dim=0) == 2]
    counts = torch.tensor([float((two[a] & two[b]).sum()) for a, b in combinations(range(4), 2)])
    assert counts.sum() == two.shape[1]
    assert chi_square(counts, torch.full((6,), two.shape[1] / 6)) < 20.5


def test_every_sample_is_chosen_equally_often():
    """Chi-square with 19 degrees of freedom, scaled for draws without replacement."""
    chosen = draw_mask("ray_and_view", 2, 2000, 20, 0.5, generator=seeded(4)).any(dim=0).sum(dim=0).double()
    assert chi_square(chosen, torch.full((20,), 1000.0)) * 2 < 43.8


def test_rays_are_masked_independently():
    chosen = draw_mask("ray_and_view", 3, 400, 20, 0.5, generator=seeded(5)).any(dim=0).double()
    together = (chosen[0::2] * chosen[1::2]).mean()
    assert together == pytest.approx(0.25, abs=0.03)


def test_one_view():
    mask = draw_mask("ray_and_view", 1, 10, 8, 0.5, generator=seeded())
    assert (mask[0].sum(dim=1) == 4).all()


def test_seed_decides():
    same = [draw_mask("ray_and_view", 4, 6, 16, 0.5, generator=seeded(7)) for _ in range(2)]
    assert torch.equal(*same)
    assert not torch.equal(same[0], draw_mask("ray_and_view", 4, 6, 16, 0.5, generator=seeded(8)))


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

    def head(layers, rows):
        hidden = rows @ layers[0].weight.T + layers[0].bias
        normal = (hidden - hidden.mean(dim=0)) / (hidden.var(dim=0, unbiased=False) + 1e-5).sqrt()
        return normal.clamp(min=0) @ layers[3].weight.T + layers[3].bias

    rows = features.reshape(12, 16)
    torch.testing.assert_close(modelling.target(features), head(modelling.projector, rows).view(3, 4, 16))
    expected = head(modelling.predictor, head(modelling.projector, rows)).view(3, 4, 16)
    torch.testing.assert_close(modelling.predict(features), expected)


def test_target_follows_by_one_percent():
    modelling = MaskedModelling()
    with torch.no_grad():
        for parameter in modelling.projector.parameters():
            parameter.fill_(2.0)
        for parameter in modelling.target_projector.parameters():
            parameter.fill_(1.0)
    for step in range(1, 4):
        modelling.update_target()
        for parameter in modelling.target_projector.parameters():
            torch.testing.assert_close(parameter, torch.full_like(parameter, 2 - EMA_DECAY**step))
        assert all((parameter == 2).all() for parameter in modelling.projector.parameters())


def test_running_statistics_of_the_target_are_its_own():
    modelling = MaskedModelling()
    modelling.predict(torch.randn(4, 8, 16) + 3)
    before = modelling.target_projector[1].running_mean.clone()
    modelling.update_target()
    assert torch.equal(modelling.target_projector[1].running_mean, before)
    modelling.target(torch.randn(4, 8, 16) - 3)
    assert not torch.equal(modelling.target_projector[1].running_mean, before)
