"""What each strategy masks: exact counts, and the distributions that its description promises."""

import importlib
from itertools import combinations

import pytest
import torch

from maskrf_core.model.masking.strategies import STRATEGIES, draw_mask, draw_mask_ratio, masked_count
from maskrf_core.settings.sections import MaskingSettings
from maskrf_core.support.errors import SettingsError

SCATTERED = ["ray_and_view", "block"]
"""Strategies that mask each chosen sample in some of the views."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chi_square(counts: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((counts - expected) ** 2 / expected).sum())


def draw(strategy: str, *arguments, seed: int = 0) -> torch.Tensor:
    return draw_mask(strategy, *arguments, generator=seeded(seed))


@pytest.mark.parametrize(("ratio", "chosen"), [(0.0, 0), (0.01, 0), (0.25, 24), (0.5, 48), (0.99, 95)])
@pytest.mark.parametrize("strategy", ["ray_and_view", "ray", "block"])
def test_every_ray_has_exactly_its_share_of_masked_samples(strategy: str, ratio: float, chosen: int):
    mask = draw(strategy, 8, 50, 96, ratio)
    assert mask.shape == (8, 50, 96)
    assert mask.dtype == torch.bool
    assert (mask.any(dim=0).sum(dim=1) == chosen).all()
    assert masked_count(strategy, 8, 96, ratio) == chosen


@pytest.mark.parametrize(("ratio", "chosen"), [(0.0, 0), (0.1, 0), (0.125, 1), (0.5, 4), (0.99, 7)])
def test_every_ray_has_exactly_its_share_of_masked_views(ratio: float, chosen: int):
    mask = draw("view", 8, 50, 96, ratio)
    assert mask.shape == (8, 50, 96)
    assert torch.equal(mask.any(dim=2), mask.all(dim=2))
    assert (mask.any(dim=2).sum(dim=0) == chosen).all()
    assert masked_count("view", 8, 96, ratio) == chosen


def test_a_ray_is_masked_in_all_views_or_none():
    mask = draw("ray", 5, 40, 20, 0.5)
    assert torch.equal(mask.any(dim=0), mask.all(dim=0))


def test_the_papers_strategy_draws_what_it_drew():
    """Samples, then how many views, then which: three draws, each of all rays. The published runs depend on it."""
    generator = seeded(3)
    chosen = torch.rand(6, 20, generator=generator).argsort(dim=1) < 10
    views = torch.randint(1, 5, (6, 20), generator=generator)
    rank = torch.rand(4, 6, 20, generator=generator).argsort(dim=0)
    assert torch.equal(draw("ray_and_view", 4, 6, 20, 0.5, seed=3), chosen & (rank < views))


@pytest.mark.parametrize("strategy", SCATTERED)
def test_number_of_masked_views_is_uniform(strategy: str):
    """1 … V views of a chosen sample, each number as often (chi-square, 4 degrees of freedom, p = 0.001)."""
    views = 5
    numbers = draw(strategy, views, 200, 40, 0.5, seed=1).sum(dim=0)
    counts = torch.bincount(numbers[numbers > 0], minlength=views + 1)[1:].double()
    assert counts.sum() == 200 * 20
    assert chi_square(counts, torch.full((views,), 800.0)) < 18.5


@pytest.mark.parametrize("strategy", SCATTERED)
def test_every_view_is_masked_equally_often(strategy: str):
    """(V + 1) / 2 of V views on average: of 4000 chosen samples each view misses about 1600."""
    share = draw(strategy, 5, 200, 40, 0.5, seed=2).double().sum(dim=(1, 2)) / 4000
    torch.testing.assert_close(share, torch.full((5,), 0.6, dtype=torch.float64), atol=0.03, rtol=0)


def test_every_view_is_left_out_equally_often():
    """Two of five views of each of 4000 rays: chi-square with 4 degrees of freedom, scaled for the draw of two."""
    counts = draw("view", 5, 4000, 3, 0.4, seed=2).any(dim=2).sum(dim=1).double()
    assert counts.sum() == 8000
    assert chi_square(counts, torch.full((5,), 1600.0)) * 4 / 3 < 18.5


@pytest.mark.parametrize("strategy", ["ray_and_view", "view"])
def test_every_pair_of_views_is_masked_equally_often(strategy: str):
    """Where exactly two of four views are masked, the six pairs are equally likely (5 degrees of freedom)."""
    samples = 40 if strategy == "ray_and_view" else 1
    mask = draw(strategy, 4, 1500, samples, 0.5, seed=3).flatten(1)
    two = mask[:, mask.sum(dim=0) == 2]
    counts = torch.tensor([float((two[a] & two[b]).sum()) for a, b in combinations(range(4), 2)])
    assert counts.sum() == two.shape[1]
    assert chi_square(counts, torch.full((6,), two.shape[1] / 6)) < 20.5


@pytest.mark.parametrize("strategy", ["ray_and_view", "ray"])
def test_every_sample_is_chosen_equally_often(strategy: str):
    """Chi-square with 19 degrees of freedom, scaled for draws without replacement."""
    chosen = draw(strategy, 2, 2000, 20, 0.5, seed=4).any(dim=0).sum(dim=0).double()
    assert chi_square(chosen, torch.full((20,), 1000.0)) * 2 < 43.8


def test_a_block_is_contiguous_and_begins_anywhere():
    """Of 20 samples 8 are masked: 13 possible first ones, chi-square with 12 degrees of freedom."""
    chosen = draw("block", 3, 2600, 20, 0.4, seed=5).any(dim=0)
    first = chosen.int().argmax(dim=1)
    index = torch.arange(20)
    assert torch.equal(chosen, (index >= first[:, None]) & (index < first[:, None] + 8))
    counts = torch.bincount(first, minlength=13).double()
    assert len(counts) == 13
    assert chi_square(counts, torch.full((13,), 200.0)) < 32.9


def test_near_surfaces_samples_are_masked_in_proportion_to_their_hits():
    """One sample a ray: chi-square with 3 degrees of freedom against weights 0.001 + (0.5, 0.3, 0.1, 0)."""
    hits = torch.tensor([0.5, 0.3, 0.1, 0.0])
    mask = draw_mask("near_surfaces", 2, 8000, 4, 0.25, generator=seeded(6), hit_probability=hits.expand(8000, -1))
    assert (mask.any(dim=0).sum(dim=1) == 1).all()
    counts, weights = mask.any(dim=0).sum(dim=0).double(), hits.double() + 1e-3
    assert chi_square(counts, 8000 * weights / weights.sum()) < 16.3


def test_near_surfaces_rays_that_hit_nothing_are_masked_anywhere():
    mask = draw_mask("near_surfaces", 2, 8000, 4, 0.5, generator=seeded(6), hit_probability=torch.zeros(8000, 4))
    assert (mask.any(dim=0).sum(dim=1) == 2).all()
    counts = mask.any(dim=0).sum(dim=0).double()
    assert chi_square(counts, torch.full((4,), 4000.0)) * 1.5 < 16.3


def test_only_a_strategy_that_asks_for_hits_gets_them():
    hits = torch.rand(50, 12, generator=seeded())
    for name in STRATEGIES:
        with_hits = draw_mask(name, 3, 50, 12, 0.5, generator=seeded(1), hit_probability=hits)
        assert torch.equal(with_hits, draw(name, 3, 50, 12, 0.5, seed=1)) == (name != "near_surfaces")


def test_prediction_without_masks_masks_nothing():
    mask = draw("maskrf_core.model.masking.strategies:nothing", 3, 5, 8, 0.5)
    assert mask.shape == (3, 5, 8)
    assert not mask.any()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rays_are_masked_independently(strategy: str):
    """Two rays' masks coincide as often as chance has it: the product of their shares, at every place of its own."""
    mask = draw(strategy, 4, 4000, 12, 0.5, seed=5).double()
    share = mask.mean(dim=1)
    together = (mask[:, 0::2] * mask[:, 1::2]).mean(dim=1)
    torch.testing.assert_close(together, share**2, atol=0.04, rtol=0)
    assert len(mask.transpose(0, 1).flatten(1).unique(dim=0)) > 4


@pytest.mark.parametrize("strategy", ["ray_and_view", "ray", "block"])
def test_one_view(strategy: str):
    mask = draw(strategy, 1, 10, 8, 0.5)
    assert (mask[0].sum(dim=1) == 4).all()


def test_one_view_can_be_masked_by_its_samples_only():
    assert not draw("view", 1, 10, 8, 0.999).any()
    assert masked_count("view", 1, 8, 0.999) == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_seed_decides(strategy: str):
    same = [draw(strategy, 4, 6, 16, 0.5, seed=7) for _ in range(2)]
    assert torch.equal(*same)
    assert not torch.equal(same[0], draw(strategy, 4, 6, 16, 0.5, seed=8))


def test_ratios_of_a_range_are_uniform():
    """0.2 to 0.6 in ten bins, 9 degrees of freedom; one step's generator gives one ratio, again and again."""
    masking = MaskingSettings(mask_ratio=0.2, largest_mask_ratio=0.6)
    generator = seeded(1)
    ratios = torch.tensor([draw_mask_ratio(masking, generator=generator) for _ in range(4000)], dtype=torch.float64)
    assert ratios.min() > 0.2
    assert ratios.max() <= 0.6
    counts = torch.histc(ratios, 10, 0.2, 0.6)
    assert chi_square(counts, torch.full((10,), 400.0)) < 27.9
    first, again, other = (draw_mask_ratio(masking, generator=seeded(seed)) for seed in (4, 4, 5))
    assert first == again != other


@pytest.mark.parametrize("range_of", [{"mask_ratio": 0.5}, {"mask_ratio": 0.0}])
def test_one_ratio_draws_nothing(range_of: dict):
    generator = seeded(2)
    before = generator.get_state()
    assert draw_mask_ratio(MaskingSettings(**range_of), generator=generator) == range_of["mask_ratio"]
    assert torch.equal(generator.get_state(), before)


def test_a_range_from_zero_is_never_zero():
    """Even where the draw is: 0 would mean that masking is not asked for."""
    masking = MaskingSettings(mask_ratio=0.0, largest_mask_ratio=0.4)
    generator = seeded(3)
    assert min(draw_mask_ratio(masking, generator=generator) for _ in range(2000)) > 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "rand", lambda *shape, **where: torch.tensor(1 - 2**-24))
        assert draw_mask_ratio(masking, generator=generator) > 0


def every_other(views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator) -> torch.Tensor:
    """A made-up strategy, as a cell may define it: every other sample, in all views."""
    return (torch.arange(samples) % 2 == 0).expand(views, rays, -1)


def in_floats(views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator) -> torch.Tensor:
    return torch.ones(views, rays, samples)


def by_ray(views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator) -> torch.Tensor:
    return torch.ones(rays, samples, dtype=torch.bool)


def nothing(views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator) -> None:
    return None


def elsewhere(views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator) -> torch.Tensor:
    return torch.ones(views, rays, samples, dtype=torch.bool, device="meta")


HERE = "tests.model.masking.test_strategies"


def test_any_function_is_a_strategy(monkeypatch: pytest.MonkeyPatch):
    mask = draw(f"{HERE}:every_other", 3, 5, 8, 0.5)
    assert torch.equal(mask, (torch.arange(8) % 2 == 0).expand(3, 5, 8))
    assert masked_count(f"{HERE}:every_other", 3, 8, 0.5) is None  # it does not say what the ratio counts
    monkeypatch.setattr(importlib.import_module(HERE).every_other, "unit", "sample", raising=False)
    assert masked_count(f"{HERE}:every_other", 3, 8, 0.5) == 4


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("blocks", r"masking\.strategy='blocks': unknown; did you mean 'block'\?"),
        ("zzz", "known are ray_and_view, ray, view, block"),
        ("nowhere.at_all:mask", "cannot be imported .*Put it into a module"),
        (f"{HERE}:no_such", "cannot be imported .*no_such"),
        ("__main__:my_mask", r"cannot be imported .*train\(run, here=True\)"),
        (f"{HERE}:HERE", "is of type str, not a function"),
        (f"{HERE}:in_floats", r"returned float32 \[2, 3, 4\] on cpu; it must return bool \[2, 3, 4\] on cpu"),
        (f"{HERE}:by_ray", r"returned bool \[3, 4\] on cpu"),
        (f"{HERE}:nothing", "returned NoneType"),
        (f"{HERE}:elsewhere", r"returned bool \[2, 3, 4\] on meta"),
    ],
)
def test_what_is_no_strategy_is_told(strategy: str, message: str):
    with pytest.raises(SettingsError, match=message):
        draw(strategy, 2, 3, 4, 0.5)


def test_a_unit_is_a_sample_or_a_view(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.import_module(HERE).every_other, "unit", "pixel", raising=False)
    with pytest.raises(SettingsError, match="its unit is 'pixel'"):
        masked_count(f"{HERE}:every_other", 3, 8, 0.5)
