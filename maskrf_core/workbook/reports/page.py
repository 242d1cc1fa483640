"""The page of a notebook: one HTML file that needs nothing else, of 5 MB at most."""

import copy
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_output

from maskrf_core.workbook.reports.facts import facts_of
from maskrf_core.workbook.reports.pictures import smaller

TEMPLATES = Path(__file__).parent / "templates"
LARGEST = 5_000_000
"""Bytes of a page."""
SIZES = ((1600, 85), (1000, 75), (640, 60), (320, 40))
"""Longest side in pixels and JPEG quality, tried in this order where a page would be larger."""
INTERACTIVE = ("application/vnd.jupyter.widget-view+json", "application/javascript")
LOADS = ("script", "link", "iframe", "object", "embed", "base")


def report_page(notebook: NotebookNode, folder: Path, title: str) -> str:
    """The page: what made it (as told by `folder`), then the notebook with its code folded and its pictures in it."""
    notebook = _for_readers(notebook)
    style = (TEMPLATES / "report" / "style.css").read_text(encoding="utf-8")
    resources = {"report": {"title": title, "facts": facts_of(folder), "note": "", "style": style}}
    page = _rendered(notebook, resources)
    if len(page.encode()) <= LARGEST:
        return page
    original = notebook
    for side, quality in SIZES:
        notebook = smaller(original, side, quality)
        resources["report"]["note"] = f"Pictures were made smaller, to {side} pixels at most; the notebook has them."
        page = _rendered(notebook, resources)
        if len(page.encode()) <= LARGEST:
            return page
    left_out = _leave_out_the_largest(notebook, len(page.encode()) - LARGEST)
    resources["report"]["note"] += f" {left_out} outputs were too large and left out."
    page = _rendered(notebook, resources)
    if len(page.encode()) > LARGEST:
        notebook.cells = []
        resources["report"]["note"] = "The notebook is too large for a page; open it itself."
        page = _rendered(notebook, resources)
    return page


def _for_readers(notebook: NotebookNode) -> NotebookNode:
    """A copy whose outputs need no kernel."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind in INTERACTIVE:
                if "data" in output and kind in output.data:
                    del output.data[kind]
                    output.data.setdefault("text/plain", "(moves only in an open notebook)")
    notebook.metadata.pop("widgets", None)
    return notebook


def _rendered(notebook: NotebookNode, resources: dict[str, Any]) -> str:
    exporter = HTMLExporter(template_name="report", extra_template_basedirs=[str(TEMPLATES)])
    page, _ = exporter.from_notebook_node(notebook, resources=copy.deepcopy(resources))
    return _offline(page)


def _offline(page: str) -> str:
    """The page without what would be loaded or run; a picture of another place becomes a link to it."""
    soup = BeautifulSoup(page, "html.parser")
    for tag in soup.find_all(LOADS):
        tag.decompose()
    for tag in soup.find_all(src=True):
        if not tag["src"].startswith("data:"):
            link = soup.new_tag("a", href=tag["src"])
            link.string = tag.get("alt") or tag["src"]
            tag.replace_with(link)
    return str(soup)


def _leave_out_the_largest(notebook: NotebookNode, excess: int) -> int:
    """Replace outputs, the largest first, until the page is smaller by `excess` bytes; how many."""
    places = [(cell, number) for cell in notebook.cells for number in range(len(cell.get("outputs", [])))]
    places.sort(key=lambda place: -len(str(place[0].outputs[place[1]])))
    left_out = 0
    for cell, number in places:
        if excess <= 0:
            break
        size = len(str(cell.outputs[number]))
        note = f"[an output of {size / 1000:.0f} kB was left out here]\n"
        cell.outputs[number] = new_output("stream", text=note)
        excess -= size // 2  # escapes in `str` count more than on the page
        left_out += 1
    return left_out
