"""What a newcomer reads first is whole: no gaps, no dead links, notebooks with their pictures."""

import json
import re
from pathlib import Path

import pytest

from maskrf_core.datasets.records import markdown_table

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "runs/README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_no_gaps_and_no_dead_links(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "@@" not in text
    linked = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    missing = [target for target in linked if not ((ROOT / page).parent / target).exists()]
    assert not missing


def test_the_data_table_is_the_catalogues():
    assert markdown_table() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"make ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named
    assert named <= targets


def test_committed_notebooks_hold_pictures():
    for path in sorted((ROOT / "notebooks").glob("0*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        kinds = {kind for cell in cells for output in cell.get("outputs", []) for kind in output.get("data", {})}
        assert "image/png" in kinds, path.name
