"""Measured speed: computations timed in turn, operations counted, and the numbers that a benchmark leaves."""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from pydantic import BaseModel, Field, FiniteFloat
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from maskrf_core.support.machine import processor_name

MATRIX_SIDE = 3072  # rows of the matrices whose product is the ceiling: 58 GFLOP, which caches and threads fill
PRECISIONS = ("float32", "bfloat16")
PRODUCT = "matrix product, {}"  # name of the case that multiplies matrices of a precision


class Spread(BaseModel):
    """Several measurements of the same."""

    median: FiniteFloat
    all: list[FiniteFloat] = Field(min_length=1)

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Take the median of some values."""
        return cls(median=statistics.median(values), all=list(values))

    def __str__(self) -> str:
        return f"{self.median:.3g} ({min(self.all):.3g} to {max(self.all):.3g})"


class Comparison(BaseModel):
    """Two ways to compute the same; `ratio` is how many times as much the straightforward one takes."""

    unit: str
    here: Spread
    straightforward: Spread
    ratio: Spread

    @classmethod
    def of(cls, unit: str, here: Sequence[float], straightforward: Sequence[float]) -> "Comparison":
        """Compare what was measured in turn; less must be better: seconds, MiB."""
        ratios = [plain / ours for ours, plain in zip(here, straightforward, strict=True)]
        spreads = {"here": here, "straightforward": straightforward, "ratio": ratios}
        return cls(unit=unit, **{name: Spread.of(values) for name, values in spreads.items()})


class Arithmetic(BaseModel):
    """The speed of so many GFLOP, beside that of a matrix product, which hardly anything exceeds."""

    gflop: FiniteFloat
    precision: str
    gflop_per_second: Spread
    ceiling: Spread
    fraction: Spread

    @classmethod
    def of(
        cls, gflop: float, measured: Mapping[str, Sequence[float]], case: str, precision: str, side: int = MATRIX_SIDE
    ) -> "Arithmetic":
        """Hold a case that `in_turn` timed against the product of matrices of `side` rows, timed beside it."""
        speeds = [gflop / seconds for seconds in measured[case]]
        ceiling = [2 * side**3 / 1e9 / seconds for seconds in measured[PRODUCT.format(precision)]]
        fractions = [speed / most for speed, most in zip(speeds, ceiling, strict=True)]
        spreads = {"gflop_per_second": speeds, "ceiling": ceiling, "fraction": fractions}
        return cls(gflop=gflop, precision=precision, **{name: Spread.of(each) for name, each in spreads.items()})


class Growth(BaseModel):
    """Seconds by how many times as large a quantity is; `exponent` is 1 where cost grows as the quantity does."""

    seconds: dict[int, Spread] = Field(min_length=2)
    exponent: FiniteFloat

    @classmethod
    def of(cls, seconds: Mapping[int, Sequence[float]]) -> "Growth":
        """Fit a line to the logarithms of factors and median seconds; its slope is the exponent."""
        spreads = {factor: Spread.of(values) for factor, values in seconds.items()}
        medians = [spread.median for spread in spreads.values()]
        return cls(seconds=spreads, exponent=float(np.polyfit(np.log(list(seconds)), np.log(medians), 1)[0]))


class Measurement(BaseModel):
    """The numbers of one benchmark, as its JSON file holds them among others, when and where they were measured."""

    name: str
    machine: str
    date: str
    comparisons: dict[str, Comparison] = {}
    arithmetic: dict[str, Arithmetic] = {}
    growth: dict[str, Growth] = {}


def turns(cases: Iterable[str], repeats: int) -> Iterator[str]:
    """Name each case `repeats` times: all before any again, and every other round backwards.

    So all cases see the same machine, and none always comes after the same one.
    """
    names = list(cases)
    for number in range(repeats):
        yield from names[:: -1 if number % 2 else 1]


def in_turn(cases: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Time each case `repeats` times [s] by torch's benchmark timer, work that is left to a GPU included.

    Each measurement follows a run of the same case that does not count.
    """
    threads = torch.get_num_threads()  # the timer's own default is one
    timers = {name: Timer("work()", globals={"work": work}, num_threads=threads) for name, work in cases.items()}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for name in turns(cases, repeats):
        seconds[name] += timers[name].blocked_autorange(min_run_time=0).times
    return seconds


def matrix_products(
    side: int = MATRIX_SIDE, precisions: Sequence[str] = PRECISIONS, device: torch.device | str = "cpu"
) -> dict[str, Callable[[], object]]:
    """Make cases for `in_turn`: the product of two square matrices in each precision, `2 · side³` operations."""

    def product(precision: str) -> Callable[[], object]:
        kind, generator = getattr(torch, precision), torch.Generator().manual_seed(0)
        first, second = (torch.randn(side, side, generator=generator).to(device, kind) for _ in range(2))
        result = torch.empty_like(first)
        return lambda: torch.mm(first, second, out=result)

    return {PRODUCT.format(precision): product(precision) for precision in precisions}


def operations_of(do: Callable[[], object]) -> int:
    """Count floating point operations of matrix products and convolutions, backward passes included, in this thread.

    A multiplication and an addition are two. What is done value by value (activations, interpolation) does not count.
    """
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NotByModule()
    with counter:
        do()
    return counter.get_total_flops()


class _NotByModule(nullcontext):
    """In place of the counter's account of each module, whose hooks fail in one that runs without gradients."""

    parents = frozenset({"Global"})


def made_here(repeats: int) -> dict:
    """Return where and when something was measured, and how often."""
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return {
        "machine": f"{os.cpu_count()} × {processor_name()}{device}",
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
        "date": time.strftime("%Y-%m-%d"),
        "repeats": repeats,
    }
