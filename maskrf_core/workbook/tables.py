"""Numbers as people read them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd

from maskrf_core.config import Config
from maskrf_core.datasets.demo import SCENE_COUNTS
from maskrf_core.datasets.layouts.nerf_llff import FOLDERS as LLFF_FOLDERS
from maskrf_core.metrics import why_no_lpips

DECIMALS = {"psnr": 2, "ssim": 3, "lpips": 3}
HEADINGS = {"psnr": "PSNR [dB] ↑", "ssim": "SSIM ↑", "lpips": "LPIPS ↓"}
DATA_SETS = {
    "nerf_synthetic": (("nerf_synthetic",), "nerf_synthetic/lego/black_400"),
    "nerf_llff": (tuple(LLFF_FOLDERS), "nerf_llff/fern/8"),
}
"""Data set → the folders below the data root that may hold it, and an example of a name for `open_scene`."""


def data_sets(data_root: Path) -> pd.DataFrame:
    """Which data sets are there: one row each, with the number of scene folders found."""
    shipped = ", ".join(f"{count} {split}" for split, count in SCENE_COUNTS.items())
    rows = [{"data set": "demo", "state": "part of the package", "scenes": shipped, "name": "demo/train_00"}]
    for name, (folders, example) in DATA_SETS.items():
        found = [data_root / folder for folder in folders if (data_root / folder).is_dir()]
        scenes = sorted(path.name for path in found[0].iterdir() if path.is_dir()) if found else []
        state = "present" if found else f"absent: no {' or '.join(folders)} below the data root"
        rows.append({"data set": name, "state": state, "scenes": ", ".join(scenes), "name": example})
    return pd.DataFrame(rows).set_index("data set")


def settings_shown(config: Config, names: Sequence[str]) -> pd.DataFrame:
    """Some settings of a config, by dotted name, with what they mean."""
    rows = []
    for name in names:
        section, _, field = name.partition(".")
        settings = getattr(config, section)
        description = type(settings).model_fields[field].description or ""
        rows.append({"setting": name, "value": str(getattr(settings, field)), "meaning": description})
    return pd.DataFrame(rows).set_index("setting")


def summary_of(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean of the fine metrics over all views, one row a method in the order of appearance; NaN where there is none."""
    columns = {f"fine_{name}": name for name in DECIMALS}
    numbers = scores.rename(columns=columns)[["method", *DECIMALS]]
    numbers = numbers.astype(dict.fromkeys(DECIMALS, float))
    return numbers.groupby("method", sort=False).mean()


def formatted(summary: pd.DataFrame) -> pd.DataFrame:
    """Each number with its decimals, `n/a` where there is none."""
    shown = {
        name: [f"{value:.{digits}f}" if np.isfinite(value) else "n/a" for value in summary[name]]
        for name, digits in DECIMALS.items()
        if name in summary
    }
    return pd.DataFrame(shown, index=summary.index).rename(columns={name: HEADINGS[name] for name in shown})


def lpips_note() -> str:
    """Why there is no LPIPS, or which one it is."""
    reason = why_no_lpips()
    return "LPIPS: VGG backbone" if reason is None else fill(f"LPIPS n/a: {reason}", 100)


def plain(summary: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """A summary as plain numbers to be recorded: method → metric → value or None."""
    return {
        str(method): {name: float(value) if np.isfinite(value) else None for name, value in row.items()}
        for method, row in summary.iterrows()
    }


def from_plain(numbers: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The inverse of `plain`."""
    frame = pd.DataFrame.from_dict(numbers, orient="index").astype(float)
    frame.index.name = "method"
    return frame
