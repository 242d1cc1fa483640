"""One page of pictures and numbers of several notebooks, with links to their own pages."""

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import jinja2
import pandas as pd

from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import printable
from maskrf_core.workbook.experiments.tables import formatted
from maskrf_core.workbook.reports.pages import TEMPLATES


class Section(NamedTuple):
    """What a page tells of a notebook: a title, its figures (PNG), its own page, and a table or none."""

    title: str
    figures: list[Path]
    page: Path
    numbers: pd.DataFrame | None = None


def write_summary(path: Path, sections: Sequence[Section]) -> Path:
    """Write the page; pictures are in it, links are relative to it."""
    shown = [
        {
            "title": section.title,
            "pictures": {each.stem: base64.b64encode(each.read_bytes()).decode() for each in section.figures},
            "link": quote(os.path.relpath(section.page, path.parent)),
            "table": "" if section.numbers is None else formatted(section.numbers).rename_axis(None).to_html(),
        }
        for section in sections
    ]
    pages = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    write_text(path, printable(pages.get_template("summary.html.j2").render(sections=shown)))
    return path
