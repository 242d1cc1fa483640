"""What benchmarks share: times with their spread, and a table of them."""

import statistics
import time
from collections.abc import Callable, Sequence


def timed(do: Callable[[], object]) -> float:
    """Seconds that it takes."""
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def spread(values: Sequence[float]) -> dict:
    """Median, and all of them."""
    return {"median": statistics.median(values), "all": list(values)}


def table(part: dict, indent: str = "") -> None:
    """Print the medians, with the smallest and largest where there are several."""
    for name, value in part.items():
        if isinstance(value, dict) and "median" in value:
            print(f"{indent}{name:<36} {value['median']:.4g}  ({min(value['all']):.4g} to {max(value['all']):.4g})")
        elif isinstance(value, dict):
            print(f"{indent}{name}")
            table(value, f"{indent}  ")
        else:
            print(f"{indent}{name:<36} {value:.4g}" if isinstance(value, float) else f"{indent}{name:<36} {value}")
