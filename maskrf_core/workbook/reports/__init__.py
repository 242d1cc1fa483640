"""Reports: an executed notebook kept in the folder of what it made, with a page for those who only read."""

import os
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.paths import ROOT, display_path
from maskrf_core.workbook.recording import ExecutedCell, executed_cells
from maskrf_core.workbook.reports.pages import report_page, write_index

__all__ = ["keep", "keep_this_notebook", "write_index"]
LARGEST = 5_000_000  # bytes of a page
INJECTED = "# Parameters"  # first line of the cell in which papermill sets parameters


def keep_this_notebook(folder: Path, runs_root: Path, *, name: str) -> None:
    """Keep what this kernel has run so far, up to the calling cell, in `folder` as `<name>.ipynb` and `<name>.html`.

    Sources and outputs are those of the kernel, whatever is saved; the text between them is that of the file. Nothing
    is kept if an open notebook's file holds other cells than ran, or in another order: one line says so.
    """
    ran = executed_cells()
    if not ran:
        print("no report was kept: no notebook runs here")
        return
    session, committed = Path(os.environ.get("JPY_SESSION_NAME", "")), ROOT / "notebooks" / f"{name}.ipynb"
    opened = nbformat.read(session, 4) if session.suffix == ".ipynb" and session.is_file() else None
    # A session that only came down from a kernel above is not this notebook's: it lacks the calling cell.
    is_opened = opened is not None and _last_place(opened, ran[-1]) is not None
    saved = opened if is_opened else nbformat.read(committed, 4) if committed.is_file() else new_notebook()
    notebook, faults = executed_notebook(saved, ran)
    if is_opened and faults:
        print(
            f"no report was kept: {faults} cells of {session.name} did not run as they are saved, or not in their "
            "order. Save the notebook and run this cell again; if it still says so, run all cells."
        )
    else:
        print(f"report in {display_path(keep(notebook, folder, runs_root, name=name))}")


def keep(notebook: NotebookNode, folder: Path, runs_root: Path | None = None, *, name: str) -> Path:
    """Write an executed notebook into `folder` as `<name>.ipynb`, and its page `<name>.html` beside it.

    With `runs_root` its index is written again. Returns the page; the notebook if the page would be larger than 5 MB.
    """
    kept, page = folder / f"{name}.ipynb", folder / f"{name}.html"
    CoalesceStreamsPreprocessor().preprocess(notebook, {})
    write_text(kept, nbformat.writes(notebook) + "\n")
    html = report_page(notebook, folder, name)
    size = len(html.encode())
    if size > LARGEST:
        page.unlink(missing_ok=True)  # it tells of an earlier run
        print(f"no page: {size / 1e6:.1f} MB are more than {LARGEST / 1e6:.0f}; print less, or draw smaller pictures")
    else:
        write_text(page, html)
    if runs_root is not None:
        write_index(runs_root)
    return kept if size > LARGEST else page


def executed_notebook(saved: NotebookNode, ran: Sequence[ExecutedCell]) -> tuple[NotebookNode, int]:
    """Return what ran, between the texts of the saved notebook, and how many of its cells did not run as saved.

    Every saved cell is found at its last execution before that of the cell below it. What ran of it earlier is left
    out; what ran beside the saved cells stays. Counted are cells that did not run, and those that ran again later.
    """
    cells = saved.cells[: last + 1] if (last := _last_place(saved, ran[-1])) is not None else saved.cells
    found: dict[int, int] = {}
    before = len(ran)
    for place in reversed(range(len(cells))):
        same = [number for number in range(before) if _is(cells[place], ran[number])]
        if same:
            before = same[-1]
            found[before] = place
    executed, text_from, faults = [], 0, sum(map(_is_code, cells)) - len(found)
    # In an open notebook, what ran before its first cell was tried out in passing; papermill puts parameters there.
    for number in range(before if found and ran[-1].cell_id else 0, len(ran)):
        cell = new_code_cell(ran[number].source, outputs=ran[number].outputs, execution_count=number + 1)
        if number in found:
            executed += [text for text in cells[text_from : found[number]] if text.cell_type != "code"]
            cell.update({key: value for key, value in cells[found[number]].items() if key in ("id", "metadata")})
            text_from = found[number] + 1
        elif not any(at > number and _is(cells[place], ran[number]) for at, place in found.items()):
            if cell.source.startswith(INJECTED):
                cell.metadata.tags = ["injected-parameters"]
            faults += any(_is(saved_cell, ran[number]) for saved_cell in cells)
        else:
            continue
        executed.append(cell)
    return nbformat.from_dict({**saved, "cells": executed}), faults


def _last_place(saved: NotebookNode, ran: ExecutedCell) -> int | None:
    return max((place for place, cell in enumerate(saved.cells) if _is(cell, ran)), default=None)


def _is_code(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _is(cell: NotebookNode, ran: ExecutedCell) -> bool:
    """Return whether a saved cell is the one that ran: the same id, or the same source if no id is known."""
    if ran.cell_id and "id" in cell:
        return _is_code(cell) and cell.id == ran.cell_id
    return _is_code(cell) and cell.source.strip() == ran.source.strip()
