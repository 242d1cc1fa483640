"""Where a notebook that trains nothing itself leaves its numbers and figures."""

from pathlib import Path
from typing import Any

from maskrf_core.runs.provenance import provenance
from maskrf_core.support.atomic_files import write_json
from maskrf_core.workbook.parameters.notebook_parameters import NotebookParameters


def results_folder(parameters: NotebookParameters, notebook: str) -> Path:
    """`<runs>/<preset>/<notebook>`, with what makes it differ from the default in its name."""
    return parameters.run_folder(notebook)


def record(folder: Path, parameters: NotebookParameters, numbers: dict[str, Any]) -> None:
    """Write `results.json`: the numbers, the parameters, and what made them."""
    made_by = provenance(parameters.seed)
    write_json(
        folder / "results.json", {"results": numbers, "parameters": parameters.model_dump(), "provenance": made_by}
    )
