"""Each notebook stands beside itself as a file of Python, which says the same."""

import jupytext
import pytest

from maskrf_core.workbook.execution import NOTEBOOKS, notebooks


def cells_of(path) -> list[tuple[str, str, list[str]]]:
    return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in jupytext.read(path).cells]


@pytest.mark.parametrize("notebook", notebooks(), ids=lambda path: path.stem)
def test_a_twin_has_the_cells_of_its_notebook(notebook):
    assert cells_of(notebook.with_suffix(".py")) == cells_of(notebook), "`make twins` writes it again"


def test_no_twin_outlives_its_notebook():
    assert {path.stem for path in NOTEBOOKS.glob("[0-9]*.py")} == {path.stem for path in notebooks()}
