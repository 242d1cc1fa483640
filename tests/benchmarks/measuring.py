"""What benchmarks share: times with their spread, where they are kept, and a table of them."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from maskrf_core.files import write_json
from maskrf_core.runs.machine import processor_name
from maskrf_core.storage import RUNS


def timed(do: Callable[[], object]) -> float:
    """Seconds that it takes."""
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def spread(values: Sequence[float]) -> dict:
    """Median, and all of them."""
    return {"median": statistics.median(values), "all": list(values)}


def keep(name: str, repeats: int, measured: dict) -> dict:
    """What was measured, with where and when, kept in runs/benchmarks/ under its name."""
    result = {
        "machine": f"{os.cpu_count()} × {processor_name()}",
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
        "date": time.strftime("%Y-%m-%d"),
        "repeats": repeats,
        **measured,
    }
    write_json(Path(RUNS) / "benchmarks" / f"{name}.json", result)
    return result


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
