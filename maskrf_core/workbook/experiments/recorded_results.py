"""The numbers of a notebook that trains nothing itself, kept in its folder."""

from pathlib import Path
from typing import Any

from maskrf_core.runs.provenance import home_shortened, provenance
from maskrf_core.support.atomic_files import write_json
from maskrf_core.workbook.parameters import NotebookParameters


def record(folder: Path, parameters: NotebookParameters, numbers: dict[str, Any]) -> None:
    """Write `results.json`: the numbers, the parameters, and what made them."""
    asked = home_shortened(parameters.model_dump())
    about = {"results": numbers, "parameters": asked, "provenance": provenance(parameters.seed)}
    write_json(folder / "results.json", about)
