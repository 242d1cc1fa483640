"""What benchmarks share: their options, where results are kept, and a table of them."""

import argparse
from collections.abc import Collection
from pathlib import Path

from pydantic_core import to_jsonable_python

from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.paths import RUNS
from maskrf_core.workbook.experiments.measurements import made_here

REPEATS = 5


def options(description: str, parts: Collection[str] = ()) -> argparse.ArgumentParser:
    """Make a command line that takes how often everything is measured, and which parts if there are any."""

    def known(part: str) -> str:
        if part not in parts:
            raise argparse.ArgumentTypeError(f"unknown part {part!r}; known: {', '.join(parts)}")
        return part

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="measurements of each case")
    if parts:
        about = f"of {', '.join(parts)}; default: all"
        parser.add_argument("parts", nargs="*", type=known, default=list(parts), metavar="PART", help=about)
    return parser


def keep(name: str, repeats: int, measured: dict) -> None:
    """Write what was measured, with where and when, to runs/benchmarks/ under its name, and print it."""
    result = to_jsonable_python({**made_here(repeats), **measured})
    write_json(Path(RUNS) / "benchmarks" / f"{name}.json", result)
    print(f"== {name}")
    print_medians(result)


def print_medians(part: dict, indent: str = "") -> None:
    """Print the medians, with the smallest and largest where there are several."""
    for name, value in part.items():
        if isinstance(value, dict) and "median" in value:
            print(f"{indent}{name:<36} {value['median']:.4g}  ({min(value['all']):.4g} to {max(value['all']):.4g})")
        elif isinstance(value, dict):
            print(f"{indent}{name}")
            print_medians(value, f"{indent}  ")
        else:
            print(f"{indent}{name:<36} {value:.4g}" if isinstance(value, float) else f"{indent}{name:<36} {value}")
