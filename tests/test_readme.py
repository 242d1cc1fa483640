"""Hold the README and the pages in `docs` to what is there: every setting, import, link and table, and their length."""

import ast
import importlib
import json
import re
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from pydantic import BaseModel

from maskrf_core.datasets.records import markdown_table
from maskrf_core.settings.config import Config
from tests.pages import BLOCK, PAGES, ROOT, blocks, commands, inline_code, text_of

LONGEST_PAGE = 150


def setting_names(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Yield the dotted names of all settings and sections."""
    for name, field in model.model_fields.items():
        yield f"{before}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_names(field.annotation, f"{before}{name}.")


@pytest.mark.parametrize("page", PAGES)
def test_python_imports_what_exists(page):
    sources = blocks(page, "python") + [words[2] for words in commands(page) if words[:2] == ["python", "-c"]]
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("maskrf_core"):
            module = importlib.import_module(node.module)
            names = [alias.name for alias in node.names]
            missing = [name for name in names if not hasattr(module, name) and not find_spec(f"{node.module}.{name}")]
            assert not missing, f"{page}: {node.module} has no {missing}"


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_are_named_exist(page):
    known = set(setting_names(Config))
    sections = "|".join(name for name in Config.model_fields if "." not in name)
    codes = [*inline_code(page), *blocks(page, "bash")]
    named = {name for code in codes for name in re.findall(rf"(?<![\w./-])(?:{sections})(?:\.[a-z]\w*)+", code)}
    files = {name for name in named if name.rpartition(".")[2] in ("json", "log", "lock", "py", "md", "yaml")}
    assert not named - files - known


@pytest.mark.parametrize("page", [*PAGES, "runs/README.md"])
def test_links_lead_somewhere(page):
    text = text_of(page)
    assert "@@" not in text
    links = [link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", BLOCK.sub("", text)) if "://" not in link]
    missing = [target for target, *_ in links if not ((ROOT / page).parent / target).exists()]
    assert not missing
    for target, _, anchor in links:
        if anchor:
            headings = re.findall(
                r"^#+ (.+)$", ((ROOT / page).parent / target).read_text(encoding="utf-8"), re.MULTILINE
            )
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_short(page):
    assert len(text_of(page).splitlines()) <= LONGEST_PAGE


def test_the_readme_leads_to_every_page():
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)\)", text_of("README.md")))
    assert linked == set(PAGES) - {"README.md"}


def test_the_data_table_is_that_of_the_records():
    assert markdown_table() in text_of("docs/data-sets.md")


def test_committed_notebooks_hold_pictures():
    for path in sorted((ROOT / "notebooks").glob("0*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        kinds = {kind for cell in cells for output in cell.get("outputs", []) for kind in output.get("data", {})}
        assert "image/png" in kinds, path.name


def test_every_flag_of_the_published_commands_is_answered():
    text = text_of("docs/published-commands.md")
    training = "pre_stageone mask_ratio stage_two_begin stage_two_warmup lambda_feat ft_load_path cfg resume total_step"
    rendering = "database_name load_ckpt_path render_type pose_type ray_num"
    flags = [*training.split(), *rendering.split()]
    assert not [flag for flag in flags if not re.search(rf"^\| [^|]*`--{flag}\b", text, re.MULTILINE)]
