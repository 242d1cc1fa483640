"""The numbers of a notebook that trains nothing itself, kept in its folder."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from maskrf_core.runs.provenance import home_shortened, provenance
from maskrf_core.support.atomic_files import write_json
from maskrf_core.workbook.experiments.tables import from_plain
from maskrf_core.workbook.parameters import NotebookParameters


def record(folder: Path, parameters: NotebookParameters, numbers: dict[str, Any]) -> None:
    """Write `results.json`: the numbers, the parameters, and what made them."""
    asked = home_shortened(parameters.model_dump())
    about = {"results": numbers, "parameters": asked, "provenance": provenance(parameters.seed)}
    write_json(folder / "results.json", about)


def methods_of(folder: Path) -> pd.DataFrame:
    """Read back the PSNR [dB] and SSIM of each method that 05 recorded in its folder."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]
    return from_plain(results["methods"])[["psnr", "ssim"]]
