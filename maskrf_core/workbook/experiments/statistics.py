"""What the points of a grid say together: means over seeds with their intervals, and each against no mask."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from maskrf_core.runs.provenance import COSTS, MERGED
from maskrf_core.support.errors import RunError
from maskrf_core.workbook.parameters.grid_parameters import OF_MASKING

CONFIDENCE = 0.95
NOT_AVAILABLE = "n/a"
OF_POINT = ("mask_ratio", "strategy")
OF_SEED = ("seed", "steps", "psnr", "ssim", *COSTS)


class Estimate(NamedTuple):
    """A mean and half the width of its 95 % interval, which one value alone does not have (nan)."""

    mean: float
    half: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval says which sign the mean has."""
        return bool(self.half < abs(self.mean))


def estimate(values: Sequence[float] | np.ndarray | pd.Series) -> Estimate:
    """The mean of values that vary normally, with the 95 % interval of Student's t."""
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n == 0:
        return Estimate(np.nan, np.nan, 0)
    if n == 1:
        return Estimate(float(values[0]), np.nan, 1)
    factor = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    return Estimate(float(values.mean()), float(factor * values.std(ddof=1) / np.sqrt(n)), n)


def varied_columns(scores: pd.DataFrame) -> list[str]:
    """The settings that a grid varies besides ratio, strategy and seed."""
    return [name for name in scores.columns if name not in (*OF_POINT, *OF_SEED)]


def differences(scores: pd.DataFrame) -> pd.Series:
    """PSNR of each point less that of the unmasked point of the same seed and settings [dB]; nan where there is none,
    and for the unmasked themselves.

    Raises:
        RunError: the two had different numbers of steps.
    """
    shared = [name for name in varied_columns(scores) if not name.startswith(OF_MASKING)]
    keys = [repr([row["seed"], *(row[name] for name in shared)]) for _, row in scores.iterrows()]
    unmasked = scores["strategy"] == "none"
    partners = dict(zip(np.array(keys, dtype=object)[unmasked], scores.index[unmasked], strict=True))
    found = []
    for key, (index, row) in zip(keys, scores.iterrows(), strict=True):
        partner = partners.get(key)
        if partner is None or partner == index:
            found.append(np.nan)
            continue
        other = scores.loc[partner]
        if other["steps"] != row["steps"]:
            raise RunError(
                f"ratio {row['mask_ratio']:g}, seed {row['seed']}: had {row['steps']} steps in all, without masks it "
                f"were {other['steps']}. Only equal steps can be compared; train both for as many."
            )
        found.append(row["psnr"] - other["psnr"])
    return pd.Series(found, index=scores.index, dtype=float)


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Over the seeds of each ratio, strategy and combination: estimates of PSNR, SSIM and of the PSNR gained against
    no mask, as tuples; and what one point costs: mean seconds and joules, largest MiB.

    Raises:
        RunError: as `differences`.
    """
    names = [*OF_POINT, *varied_columns(scores)]
    table = scores.assign(difference=differences(scores))
    keys = [repr([row[name] for name in names]) for _, row in table.iterrows()]
    rows = []
    for _, group in table.groupby(keys, sort=False):
        row = {name: group[name].iloc[0] for name in names}
        row |= {name: estimate(group[name]) for name in ("psnr", "ssim")}
        row["difference"] = estimate(group["difference"].dropna())
        for name, merge in MERGED.items():
            row[name] = group[name].astype(float).agg("mean" if merge is sum else "max")
        rows.append(row)
    return pd.DataFrame(rows)


def formatted(table: pd.DataFrame) -> pd.DataFrame:
    """A summary as people read it: mean ± half the interval."""
    names = [name for name in table.columns if name not in (*OF_SEED, "difference")]
    shown = table[names].copy()
    shown["n"] = [found.n for found in table["psnr"]]
    shown["PSNR [dB] ↑"] = [_written(found, 2) for found in table["psnr"]]
    shown["SSIM ↑"] = [_written(found, 3) for found in table["ssim"]]
    shown["against no mask [dB]"] = [_written(found, 2, "+") for found in table["difference"]]
    for name, heading, scale in (
        ("wall_seconds", "time [min]", 1 / 60),
        ("peak_memory_mib", "memory [GiB]", 1 / 1024),
        ("gpu_peak_memory_mib", "GPU memory [GiB]", 1 / 1024),
    ):
        if name == "gpu_peak_memory_mib" and table[name].isna().all():
            continue  # no GPU had a part in it
        shown[heading] = [f"{value * scale:.2f}" if np.isfinite(value) else NOT_AVAILABLE for value in table[name]]
    return shown


def plain(table: pd.DataFrame) -> list[dict]:
    """A summary as plain values to be recorded; what is not known is None."""
    rows = []
    for _, row in table.iterrows():
        values = {}
        for name, value in row.items():
            if isinstance(value, Estimate):
                values[name] = {"mean": _known(value.mean), "interval": _known(value.half), "n": value.n}
            else:
                values[name] = _known(value)
        rows.append(values)
    return rows


def finding(table: pd.DataFrame) -> str:
    """What the comparison shows, and no more: nothing where an interval includes 0 or there is one seed."""
    masked = table[[found.n > 0 for found in table["difference"]]]
    if masked.empty:
        return "Nothing to compare: the grid has no unmasked point, or no other"
    clear = masked[[found.excludes_zero for found in masked["difference"]]]
    if clear.empty:
        seeds = max(found.n for found in masked["difference"])
        why = "one seed has no interval" if seeds == 1 else f"every interval of {seeds} seeds includes 0"
        return f"No gain or loss by masking can be told: {why}"
    gains = [found.mean for found in clear["difference"]]
    row = clear.iloc[int(np.argmax(np.abs(gains)))]
    found = row["difference"]
    verb = "gains" if found.mean > 0 else "loses"
    what = ", ".join([str(row["strategy"]), *(f"{name}={row[name]}" for name in table.columns if "." in name)])
    compared = "" if len(masked) == 1 else f", the largest of {len(masked)} compared"
    return (
        f"Ratio {row['mask_ratio']:g} ({what}) {verb} {abs(found.mean):.2f} ± {found.half:.2f} dB "
        f"against no mask ({found.n} seeds{compared})"
    )


def _written(found: Estimate, digits: int, sign: str = "") -> str:
    if not found.n:
        return NOT_AVAILABLE
    half = f"{found.half:.{digits}f}" if np.isfinite(found.half) else NOT_AVAILABLE
    return f"{found.mean:{sign}.{digits}f} ± {half}"


def _known(value):
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
