"""Measuring speed: computations in turn with their spread, matrix products as the ceiling, operations counted.

What is measured becomes plain numbers, which `workbook.performance` reads again.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from maskrf_core.support.machine import processor_name

MATRIX_SIDE = 3072
"""Rows and columns of the matrices whose product is the ceiling: 58 GFLOP each, which caches and threads fill."""
PRECISIONS = ("float32", "bfloat16")
PRODUCT = "matrix product, {}"
"""Name of the case that multiplies matrices of a precision."""


def timed(do: Callable[[], object]) -> float:
    """Seconds that it takes, the work that it leaves a GPU included."""
    _wait_for_gpu()
    begun = time.perf_counter()
    do()
    _wait_for_gpu()
    return time.perf_counter() - begun


def _wait_for_gpu() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def in_turn(cases: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """What each case measures of itself, `repeats` times, after one time that does not count.

    All cases are measured once before any is measured again, so that they see the same machine; every other round goes
    backwards, so that none always comes after the same one.
    """
    for measure in cases.values():
        measure()
    measured: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(repeats):
        for name in list(cases)[:: -1 if number % 2 else 1]:
            measured[name].append(cases[name]())
    return measured


def matrix_products(
    side: int = MATRIX_SIDE, precisions: Sequence[str] = PRECISIONS, device: torch.device | str = "cpu"
) -> dict[str, Callable[[], float]]:
    """Cases for `in_turn`: the GFLOP/s of a product of two square matrices in each precision.

    Hardly anything computes faster than this, so it is the ceiling for networks.
    """

    def product(precision: str) -> Callable[[], float]:
        kind = getattr(torch, precision)
        generator = torch.Generator().manual_seed(0)
        first, second = (torch.randn(side, side, generator=generator).to(device, kind) for _ in range(2))
        result = torch.empty_like(first)
        return lambda: 2 * side**3 / 1e9 / timed(lambda: torch.mm(first, second, out=result))

    return {PRODUCT.format(precision): product(precision) for precision in precisions}


def operations_of(do: Callable[[], object]) -> int:
    """Floating point operations of the matrix products and convolutions in it, backward passes included.

    A multiplication and an addition are two. What is done value by value (activations, interpolation) does not count,
    and neither does what other threads do.
    """
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NotByModule()
    with counter:
        do()
    return counter.get_total_flops()


class _NotByModule(nullcontext):
    """In place of the counter's account of each module, whose hooks fail in one that runs without gradients."""

    parents = frozenset({"Global"})


def exponent(factors: Sequence[float | int], seconds: Sequence[float]) -> float:
    """The slope of the least-squares line through the logarithms: 1 where cost grows as the quantity does."""
    return float(np.polyfit(np.log(factors), np.log(seconds), 1)[0])


def spread(values: Sequence[float]) -> dict:
    """Median, and all of them."""
    return {"median": statistics.median(values), "all": list(values)}


def comparison(unit: str, here: Sequence[float], straightforward: Sequence[float]) -> dict:
    """Two ways to compute the same, measured in turn; `ratio` is how many times as much the straightforward one takes.

    Less must be better: seconds, MiB.
    """
    ratios = [plain / ours for ours, plain in zip(here, straightforward, strict=True)]
    return {
        "unit": unit,
        "here": spread(here),
        "straightforward": spread(straightforward),
        "ratio": spread(ratios),
    }


def arithmetic(gflop: float, seconds: Sequence[float], ceiling: Sequence[float], precision: str) -> dict:
    """The speed of so many GFLOP in so many seconds, beside the GFLOP/s of a matrix product, measured in turn."""
    speeds = [gflop / each for each in seconds]
    return {
        "gflop": gflop,
        "precision": precision,
        "gflop_per_second": spread(speeds),
        "ceiling": spread(ceiling),
        "fraction": spread([speed / most for speed, most in zip(speeds, ceiling, strict=True)]),
    }


def growth(seconds: Mapping[int, Sequence[float]]) -> dict:
    """Seconds where a quantity is so many times as large, and the exponent of their medians."""
    medians = [statistics.median(values) for values in seconds.values()]
    return {
        "seconds": {str(factor): spread(values) for factor, values in seconds.items()},
        "exponent": exponent(list(seconds), medians),
    }


def made_here(repeats: int) -> dict:
    """Where and when something was measured, and how often."""
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return {
        "machine": f"{os.cpu_count()} × {processor_name()}{device}",
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
        "date": time.strftime("%Y-%m-%d"),
        "repeats": repeats,
    }
