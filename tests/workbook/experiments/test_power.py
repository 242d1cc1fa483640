"""Power against published and simulated numbers; intervals that hold the truth as often as they say."""

import numpy as np
import pytest

from maskrf_core.support.errors import SettingsError
from maskrf_core.workbook.experiments.power import detectable, paired_interval, power, seeds_needed, standard_error


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_seeds_of_standard_effects(effect: float, seeds: int):
    """As tables of the paired t-test have them (two-sided 5 %, power 80 %)."""
    assert seeds_needed(0.2, (0.2 / effect) ** 2) == seeds


def test_power_is_the_share_of_simulated_studies_that_tell_the_difference():
    drawn = np.random.default_rng(0).normal(0.2, 0.25, (20_000, 8))
    t = drawn.mean(axis=1) / (drawn.std(axis=1, ddof=1) / np.sqrt(8))
    assert power(0.2, 0.25**2, 8) == pytest.approx(np.mean(t > 2.3646), abs=0.012)  # t of 7 degrees, 97.5 %
    assert power(0.0, 1.0, 8) == pytest.approx(0.025, abs=1e-6)


@pytest.mark.parametrize(("difference", "variance"), [(0.0, 1.0), (0.2, 0.0)])
def test_what_cannot_be_told_is_refused(difference: float, variance: float):
    with pytest.raises(SettingsError):
        seeds_needed(difference, variance)


def made(generator: np.random.Generator, seeds: int, scenes: int, spread: tuple[float, float, float]) -> np.ndarray:
    """Differences around 0.3: effects of seeds, of scenes, and of both together."""
    of_seed, of_scene, of_both = spread
    effects = generator.normal(0, of_seed, (seeds, 1)) + generator.normal(0, of_scene, (1, scenes))
    return 0.3 + effects + generator.normal(0, of_both, (seeds, scenes))


@pytest.mark.parametrize("spread", [(0.3, 0.0, 0.1), (0.0, 0.3, 0.1), (0.2, 0.3, 0.1)])
def test_intervals_hold_the_mean_of_all_seeds_and_scenes(spread: tuple[float, float, float]):
    """Of 400 studies of 8 seeds and 12 scenes; a bootstrap over single differences holds it in about half of them."""
    generator = np.random.default_rng(1)
    found = [paired_interval(made(generator, 8, 12, spread), draws=400, generator=generator) for _ in range(400)]
    held = np.mean([each.low <= 0.3 <= each.high for each in found])
    assert 0.93 <= held <= 0.99


@pytest.mark.parametrize("spread", [(0.3, 0.0, 0.1), (0.2, 0.3, 0.1), (0.15, 0.05, 0.6)])
@pytest.mark.parametrize("seeds", [5, 8])
def test_a_detectable_difference_is_told_in_four_cases_of_five(spread: tuple[float, float, float], seeds: int):
    generator = np.random.default_rng(1)
    tables = [made(generator, seeds, 12, spread) - 0.3 for _ in range(300)]
    intervals = [paired_interval(table, draws=300, generator=generator) for table in tables]
    least = np.mean([detectable(*each) for each in zip(tables, intervals, strict=True)])
    told = np.mean([each.low + least > 0 for each in intervals])
    assert 0.7 <= told <= 0.9


def test_the_standard_error_by_hand_and_by_simulation():
    """By hand: two seeds whose scenes are alike, so the error of a mean of two numbers, 0 and 1."""
    assert standard_error(np.array([[0.0, 0.0], [1.0, 1.0]])) == pytest.approx(np.sqrt(0.5 / 2))
    generator = np.random.default_rng(2)
    tables = [made(generator, 8, 12, (0.3, 0.2, 0.5)) for _ in range(2000)]
    true = np.std([table.mean() for table in tables])
    assert np.sqrt(np.mean([standard_error(table) ** 2 for table in tables])) == pytest.approx(true, rel=0.05)


def test_an_interval_by_hand():
    """Two seeds that differ by 1 and scenes that are alike: means are 0, 0.5 and 1, stretched by √2 · 12.706 / 1.96."""
    differences = np.array([[0.0, 0.0], [1.0, 1.0]])
    found = paired_interval(differences, generator=np.random.default_rng(0))
    assert found == pytest.approx((0.5, 0.5 - 4.584, 0.5 + 4.584), abs=1e-3)


def test_one_seed_has_no_interval():
    found = paired_interval(np.ones((1, 5)), generator=np.random.default_rng(0))
    assert found.mean == 1
    assert np.isnan([found.low, found.high]).all()


def test_unknown_differences_are_refused():
    with pytest.raises(SettingsError):
        paired_interval(np.array([[0.1, np.nan]]), generator=np.random.default_rng(0))
