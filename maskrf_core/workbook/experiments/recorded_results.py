"""The numbers of a notebook that trains nothing itself, kept in its folder."""

from pathlib import Path
from typing import Any

from maskrf_core.runs.provenance import provenance
from maskrf_core.support.atomic_files import write_json
from maskrf_core.workbook.parameters import NotebookParameters


def record(folder: Path, parameters: NotebookParameters, numbers: dict[str, Any]) -> None:
    """Write `results.json`: the numbers, the parameters, and what made them."""
    made_by = provenance(parameters.seed)
    about = {"results": numbers, "parameters": parameters.model_dump(), "provenance": made_by}
    write_json(folder / "results.json", about)
