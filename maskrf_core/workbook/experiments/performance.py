"""What `make bench` measured, read again: ratios, speeds beside the ceiling, growth; as tables and as plain numbers."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from maskrf_core.rendering.evaluation import resolve_device
from maskrf_core.settings.readable_errors import readable
from maskrf_core.support.errors import RunError
from maskrf_core.workbook.experiments.small_measurement import small_measurement
from maskrf_core.workbook.parameters import PerformanceParameters


class Numbers(BaseModel):
    """Base of what is read; whatever else a benchmark says of itself is left aside."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Spread(Numbers):
    """Several measurements of the same."""

    median: FiniteFloat
    all: list[FiniteFloat] = Field(min_length=1)

    def __str__(self) -> str:
        return f"{self.median:.3g} ({min(self.all):.3g} to {max(self.all):.3g})"


class Comparison(Numbers):
    """As `measuring.comparison` makes it."""

    unit: str
    here: Spread
    straightforward: Spread
    ratio: Spread


class Arithmetic(Numbers):
    """As `measuring.arithmetic` makes it."""

    precision: str
    gflop_per_second: Spread
    ceiling: Spread
    fraction: Spread


class Growth(Numbers):
    """As `measuring.growth` makes it: seconds by how many times as large a quantity is."""

    seconds: dict[int, Spread] = Field(min_length=2)
    exponent: FiniteFloat


class Measurement(Numbers):
    """What one benchmark said, when and where."""

    name: str
    machine: str
    date: str
    comparisons: dict[str, Comparison] = {}
    arithmetic: dict[str, Arithmetic] = {}
    growth: dict[str, Growth] = {}


def measurements_of(parameters: PerformanceParameters) -> list[Measurement]:
    """Those in the notebook's folder; where there are none and none were asked for, a small one, made here and now.

    Raises:
        RunError: as `read_measurements`, or a folder was asked for in which nothing is compared.
    """
    folder = parameters.measurements_folder
    found = [] if folder is None else [each for each in read_measurements(folder) if each.comparisons or each.growth]
    if not found and parameters.measurements is not None:
        raise RunError(f"{display_path(folder)}: nothing is compared in the JSON files there. Fill it by `make bench`.")
    if found:
        print(f"{len(found)} measurements of `make bench` in {display_path(folder)}")
        return found
    print("No measurements of `make bench` are at hand: this is a small one, made here and now.")
    device = resolve_device(parameters.device)
    config = parameters.config("finetune")
    return [Measurement.model_validate(small_measurement(config, parameters.repeats, device=device))]


def read_measurements(folder: Path) -> list[Measurement]:
    """Every JSON file of a folder, in the order of their names.

    Raises:
        RunError: one cannot be read, is no JSON, or not what a benchmark leaves.
    """
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def _read(path: Path) -> Measurement:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it holds no table of numbers")
        return Measurement.model_validate({"name": path.stem, **values})
    except ValidationError as error:
        reason = readable(error, Measurement, noun="number").splitlines()[0]
    except (OSError, ValueError) as error:
        reason = str(error)
    raise RunError(
        f"{display_path(path)}: is not what a benchmark leaves ({reason}). Delete it, or measure it "
        "again by `make bench`."
    )


def parts(measurements: Iterable[Measurement], kind: str) -> dict[str, Any]:
    """All `comparisons` or `arithmetic` by their titles."""
    return {title: part for each in measurements for title, part in getattr(each, kind).items()}


def grown(measurements: Iterable[Measurement]) -> dict[str, dict[str, Growth]]:
    """What was grown → quantity → growth."""
    return {each.name.removeprefix("growth_"): each.growth for each in measurements if each.growth}


def comparisons_table(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """One row a comparison: medians with the smallest and largest, and where and when."""
    columns = ["here", "straightforward", "ratio", "runs", "machine", "date"]
    rows = {
        title: [
            f"{part.here} {part.unit}",
            f"{part.straightforward} {part.unit}",
            str(part.ratio),
            len(part.ratio.all),
            each.machine,
            each.date,
        ]
        for each in measurements
        for title, part in each.comparisons.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("what")


def fractions(measurements: Iterable[Measurement]) -> pd.Series:
    """The median fraction of the ceiling, by title."""
    found = {title: part.fraction.median for title, part in parts(measurements, "arithmetic").items()}
    return pd.Series(found, dtype=float)


def exponents(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """The exponent of each quantity (row) of what was grown (column)."""
    found: Mapping[str, Mapping[str, float]] = {
        name: {quantity: growth.exponent for quantity, growth in each.items()}
        for name, each in grown(measurements).items()
    }
    return pd.DataFrame(found, dtype=float)


def plain(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """The medians, to be recorded."""
    return {
        "measured": {each.name: {"machine": each.machine, "date": each.date} for each in measurements},
        "ratios": {title: part.ratio.median for title, part in parts(measurements, "comparisons").items()},
        "fractions_of_the_ceiling": fractions(measurements).to_dict(),
        "exponents": {
            name: {quantity: growth.exponent for quantity, growth in each.items()}
            for name, each in grown(measurements).items()
        },
    }
