"""How sure a comparison of seeds and scenes is: the seeds that a difference needs, and intervals over both."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from maskrf_core.support.errors import SettingsError
from maskrf_core.workbook.experiments.grid_statistics import CONFIDENCE

POWER = 0.8  # probability with which a difference that is there is to be told
MOST_SEEDS = 10_000


def power(difference: float, variance: float, seeds: int) -> float:
    """Return the probability that a two-sided paired t-test at 5 % tells a mean difference, by so many seeds.

    `variance` is that of one seed's difference, in the square of its unit. Only the right sign counts as told.

    Raises:
        SettingsError: there are fewer than two seeds, or the variance is not positive.
    """
    if seeds < 2 or variance <= 0:
        raise SettingsError(f"seeds={seeds}, variance={variance:g}: must be at least 2, and above 0")
    limit = stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1)
    return float(stats.nct.sf(limit, seeds - 1, abs(difference) * np.sqrt(seeds / variance)))


def seeds_needed(difference: float, variance: float, wanted: float = POWER) -> int:
    """Return the fewest seeds that tell a difference with the wanted probability; arguments as those of `power`.

    Raises:
        SettingsError: not even 10,000 seeds do, or the variance is not positive.
    """
    low, high = 2, MOST_SEEDS
    if power(difference, variance, high) < wanted:
        raise SettingsError(f"difference={difference:g}: {high} seeds do not tell it at a variance of {variance:g}")
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, variance, middle) >= wanted else (middle + 1, high)
    return low


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def paired_interval(
    differences: Float[np.ndarray, "seed scene"], *, draws: int = 10_000, generator: np.random.Generator
) -> Interval:
    """Return the mean of paired differences with its bootstrap interval, seeds and scenes both drawn with replacement.

    Seeds and scenes cross: each draw takes whole rows and whole columns, so that what a seed or a scene shares is not
    averaged away. Percentiles of few draws are too narrow, by √((n - 1) / n) and as the normal distribution is beside
    Student's t; deviations are stretched by both for the smaller of the two numbers. It holds the truth in 95 % of
    cases where seeds or scenes differ most, and in 98 % and more where noise of single differences does, which both
    draws repeat. One seed or one scene has no interval (nan).

    Raises:
        SettingsError: there is none, or a difference is unknown: leave its seed or scene out.
    """
    if differences.size == 0 or not np.isfinite(differences).all():
        raise SettingsError(f"differences of shape {differences.shape}: must be some, all of them known")
    seeds, scenes = differences.shape
    mean = float(differences.mean())
    if min(seeds, scenes) < 2:
        return Interval(mean, np.nan, np.nan)
    # How often each one is drawn, as weights: no draw copies the table.
    of_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    of_scenes = generator.multinomial(scenes, np.full(scenes, 1 / scenes), draws) / scenes
    means = np.einsum("ds,sc,dc->d", of_seeds, differences, of_scenes, optimize=True)
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    fewest = min(seeds, scenes)
    stretch = np.sqrt(fewest / (fewest - 1)) * stats.t.ppf(tails[1], fewest - 1) / stats.norm.ppf(tails[1])
    low, high = mean + (np.quantile(means, tails) - mean) * stretch
    return Interval(mean, float(low), float(high))


def standard_error(differences: Float[np.ndarray, "seed scene"]) -> float:
    """Return that of the mean, by variance components of two crossed random effects (seeds, scenes) and what is left.

    Where noise makes a component negative, what seeds or scenes alone show counts. There must be two of each.
    """
    seeds, scenes = differences.shape
    of_seeds, of_scenes = differences.mean(axis=1), differences.mean(axis=0)
    left = differences - of_seeds[:, None] - of_scenes + differences.mean()
    by_seeds, by_scenes = scenes * of_seeds.var(ddof=1), seeds * of_scenes.var(ddof=1)
    by_both = np.square(left).sum() / ((seeds - 1) * (scenes - 1))
    return float(np.sqrt(max(by_seeds + by_scenes - by_both, by_seeds, by_scenes) / (seeds * scenes)))


def detectable(differences: Float[np.ndarray, "seed scene"], interval: Interval) -> float:
    """Return the true difference whose interval, as wide as this one, would leave out 0 with a probability of 80 %."""
    return (interval.high - interval.low) / 2 + float(stats.norm.ppf(POWER)) * standard_error(differences)
