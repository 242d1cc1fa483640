"""Statistics of a grid: means over seeds with their intervals, and each point against the one without masks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from maskrf_core.runs.provenance import COSTS, MERGED
from maskrf_core.support.errors import RunError
from maskrf_core.workbook.parameters.parameters_by_notebook import OF_MASKING

CONFIDENCE = 0.95
NOT_AVAILABLE = "n/a"
NONE = "none"  # strategy of a point that masks nothing
OF_POINT = ("mask_ratio", "strategy")
OF_SEED = ("seed", "scene", "steps", "psnr", "ssim", "psnr_by_scene", *COSTS)
HEADINGS = {  # of a cost, and by what its values are multiplied
    "wall_seconds": ("time [min]", 1 / 60),
    "peak_memory_mib": ("memory [GiB]", 1 / 1024),
    "gpu_peak_memory_mib": ("GPU memory [GiB]", 1 / 1024),
}


class Estimate(NamedTuple):
    """A mean and half the width of its 95 % interval, which one value alone does not have (nan)."""

    mean: float
    half: float
    n: int

    def written(self, digits: int, sign: str = "") -> str:
        """Write mean ± half the interval; `n/a` for what is not known."""
        if not self.n:
            return NOT_AVAILABLE
        half = f"{self.half:.{digits}f}" if np.isfinite(self.half) else NOT_AVAILABLE
        return f"{self.mean:{sign}.{digits}f} ± {half}"


def estimate(values: Sequence[float] | np.ndarray | pd.Series) -> Estimate:
    """Estimate the mean of values that vary normally, with the 95 % interval of Student's t."""
    values = pd.Series(values, dtype=float)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.sem()
    return Estimate(float(values.mean()), float(half), len(values))


def varied_columns(scores: pd.DataFrame) -> list[str]:
    """List the settings that a grid varies besides ratio, strategy and seed."""
    return [name for name in scores.columns if name not in (*OF_POINT, *OF_SEED)]


def differences(scores: pd.DataFrame) -> pd.Series:
    """Subtract from PSNR that of the unmasked point of the same seed and settings [dB]; nan where there is none, and
    for the unmasked themselves. Where there is a row a scene, the scene is the same, too.

    Raises:
        RunError: the two had different numbers of steps.
    """
    shared = [name for name in varied_columns(scores) if not name.startswith(OF_MASKING)]
    same = [name for name in ("seed", "scene") if name in scores]
    keys, unmasked = _keys(scores, [*same, *shared]), scores["strategy"] == NONE
    partners = scores[["psnr", "steps"]][unmasked].set_axis(keys[unmasked]).reindex(keys).set_axis(scores.index)
    unequal = ~unmasked & partners["steps"].notna() & (partners["steps"] != scores["steps"])
    for index, row in scores[unequal].iterrows():
        raise RunError(
            f"ratio {row['mask_ratio']:g}, seed {row['seed']}: had {row['steps']} steps in all, without masks it "
            f"were {partners['steps'][index]:.0f}. Only equal steps can be compared; train both for as many."
        )
    return (scores["psnr"] - partners["psnr"]).where(~unmasked).astype(float)


def differences_by_scene(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores with a row a scene and its `difference`; a row a point if not all logs tell scenes apart.

    Raises:
        RunError: as `differences`.
    """
    if len(scores) and scores["psnr_by_scene"].map(bool).all():
        scores = scores.assign(scene=scores["psnr_by_scene"].map(list)).explode("scene", ignore_index=True)
        psnr = [by_scene[scene] for by_scene, scene in zip(scores["psnr_by_scene"], scores["scene"], strict=True)]
        scores = scores.assign(psnr=psnr)
    return scores.assign(difference=differences(scores))


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Estimate PSNR, SSIM and the PSNR gained against no mask over the seeds of each ratio, strategy and combination;
    and what one point costs: mean seconds, largest MiB.

    Raises:
        RunError: as `differences`.
    """
    names = [*OF_POINT, *varied_columns(scores)]
    rows = []
    for _, group in scores.assign(difference=differences(scores)).groupby(_keys(scores, names), sort=False):
        row = group[names].iloc[0].to_dict()
        row |= {name: estimate(group[name]) for name in ("psnr", "ssim")}
        row["difference"] = estimate(group["difference"].dropna())
        costs = group[list(MERGED)].astype(float)
        rows.append(row | {name: costs[name].agg("mean" if how is sum else "max") for name, how in MERGED.items()})
    return pd.DataFrame(rows)


def formatted(table: pd.DataFrame) -> pd.DataFrame:
    """Write a summary for people: mean ± half the interval."""
    shown = table[[name for name in table.columns if name not in (*OF_SEED, "difference")]].copy()
    shown["n"] = [found.n for found in table["psnr"]]
    shown["PSNR [dB] ↑"] = [found.written(2) for found in table["psnr"]]
    shown["SSIM ↑"] = [found.written(3) for found in table["ssim"]]
    shown["against no mask [dB]"] = [found.written(2, "+") for found in table["difference"]]
    for name, (heading, scale) in HEADINGS.items():
        if name == "gpu_peak_memory_mib" and table[name].isna().all():
            continue  # no GPU had a part in it
        shown[heading] = [f"{value * scale:.2f}" if np.isfinite(value) else NOT_AVAILABLE for value in table[name]]
    return shown


def plain(table: pd.DataFrame) -> list[dict]:
    """Return scores or a summary as plain values to be recorded; what is not known is None."""
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def finding(table: pd.DataFrame) -> str:
    """Say what the comparison shows, and no more: nothing where an interval includes 0 or there is one seed."""
    masked = table[[found.n > 0 for found in table["difference"]]]
    if masked.empty:
        return "Nothing to compare: the grid has no unmasked point, or no other"
    clear = masked[[found.half < abs(found.mean) for found in masked["difference"]]]
    if clear.empty:
        seeds = max(found.n for found in masked["difference"])
        why = "one seed has no interval" if seeds == 1 else f"every interval of {seeds} seeds includes 0"
        return f"No gain or loss by masking can be told: {why}"
    row = max(clear.to_dict("records"), key=lambda row: abs(row["difference"].mean))
    found = row["difference"]
    verb = "gains" if found.mean > 0 else "loses"
    what = ", ".join([str(row["strategy"]), *(f"{name}={row[name]}" for name in table.columns if "." in name)])
    compared = "" if len(masked) == 1 else f", the largest of {len(masked)} compared"
    return (
        f"Ratio {row['mask_ratio']:g} ({what}) {verb} {abs(found.mean):.2f} ± {found.half:.2f} dB "
        f"against no mask ({found.n} seeds{compared})"
    )


def _keys(table: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Spell the values of each row, which may be lists, so that they can be compared."""
    return table[list(names)].astype(object).apply(lambda row: repr(row.to_list()), axis=1)


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return {"mean": _plain(value.mean), "interval": _plain(value.half), "n": value.n}
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
