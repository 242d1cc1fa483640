"""Hold the README and the pages in `docs` to what is there: every command, setting and link, and their length."""

import argparse
import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import nbformat
import papermill.cli
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from maskrf_core.datasets.records import markdown_table
from maskrf_core.runs import Run
from maskrf_core.settings.config import Config, load_config
from maskrf_core.support.errors import SettingsError
from maskrf_core.workbook.execution import execute

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
LONGEST_PAGE = 150
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
PLACEHOLDERS = "<…"
COMMANDS = ("papermill ", "python ", "make ", "torchrun ", "sbatch ", "conda ")
PUBLISHED = ("generalization/depth", "generalization/cost_volume", "finetune/nerf_synthetic/lego",
             "finetune/Synthetic_test/lego", "finetune/DTU_test/snowman")  # fmt: skip


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in one language."""
    return [source for found, source in BLOCK.findall(text_of(page)) if found == language]


def inline_code(page: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", BLOCK.sub("", text_of(page)))


def commands(page: str) -> list[list[str]]:
    """Return every command of a page as its words: those of its bash blocks, and whole ones within the text."""
    lines = [line for source in blocks(page, "bash") if not source.startswith("#!")
             for line in source.replace("\\\n", " ").splitlines()]  # fmt: skip
    lines += [code for code in inline_code(page) if code.startswith(COMMANDS) and not set(PLACEHOLDERS) & set(code)]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def setting_names(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Yield the dotted names of all settings and sections."""
    for name, field in model.model_fields.items():
        yield f"{before}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_names(field.annotation, f"{before}{name}.")


class Parsed(Exception):  # noqa: N818 - nothing went wrong
    """Raised in place of what a command would do, with its arguments."""


@pytest.fixture
def parse_only(monkeypatch):
    """Call the `main` of `python -m module` up to the point where its arguments were read, and return these."""
    parse = argparse.ArgumentParser.parse_args

    def stop(parser, given=None, namespace=None):
        raise Parsed(parse(parser, given, namespace))

    def call(module: str, arguments: list[str]) -> argparse.Namespace | None:
        spec = importlib.util.find_spec(module)
        assert spec is not None, module
        found = importlib.import_module(f"{module}.__main__" if spec.submodule_search_locations else module)
        if not hasattr(found, "ArgumentParser") and "argparse" not in vars(found) and "options" not in vars(found):
            assert not arguments
            return None
        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
        monkeypatch.setattr("sys.argv", [module, *arguments])
        with pytest.raises(Parsed) as parsed:
            found.main()
        return parsed.value.args[0]

    return call


@pytest.fixture
def notebook_parameters(tmp_path, monkeypatch):
    """Let a notebook's own second cell check parameters, with published checkpoints and the demo runs in place.

    What a command would train is there for the commands after it.
    """
    for name in ("MASKRF_SMOKE", "MASKRF_RUNS"):
        monkeypatch.delenv(name, raising=False)
    data_root, runs = tmp_path / "data", tmp_path / "runs"
    files = [data_root / f"model/{name}.pth" for name in PUBLISHED]
    for file in [*files, *(runs / f"demo/{kind}/config.yaml" for kind in ("pretrain", "finetune"))]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    def check(notebook: str, asked: dict) -> None:
        cells = [
            cell.source for cell in nbformat.read(ROOT / "notebooks" / notebook, 4).cells if cell.cell_type == "code"
        ]
        namespace: dict = {}
        exec(cells[0], namespace)  # its parameters
        assert set(asked) <= set(namespace), f"{notebook}: {set(asked) - set(namespace)}"
        namespace |= asked | {"data_root": str(data_root), "runs_root": str(runs)}
        exec(cells[1], namespace)  # `parameters = check_parameters(…)`
        parameters = namespace["parameters"]
        kind = getattr(parameters, "setting", "pretrain").replace("cross_scene", "finetune")
        if hasattr(parameters, "run"):
            made = runs / parameters.run if parameters.run else parameters.run_folder(kind)
            made.mkdir(parents=True, exist_ok=True)
            (made / "config.yaml").touch()

    return check


@pytest.fixture
def papermill_asked(monkeypatch):
    """Read a papermill command as papermill does: the notebook, and the parameters with their types."""
    asked: list[tuple[str, str, dict]] = []

    def keep(input_path, output_path, parameters, **_):
        asked.append((input_path, output_path, parameters))

    monkeypatch.setattr(papermill.cli, "execute_notebook", keep)

    def read(words: list[str]) -> tuple[str, dict]:
        result = CliRunner().invoke(papermill.cli.papermill, words)
        assert result.exit_code == 0, result.output
        notebook, output, parameters = asked.pop()
        assert output == "out.ipynb"
        return notebook, parameters

    return read


@pytest.fixture
def check_command(papermill_asked, notebook_parameters, parse_only):
    """Check the words of one command; what no rule is known for is an error."""

    def check_python(words: list[str]) -> None:
        if words[:1] == ["-c"]:
            compile(words[1], "command", "exec")  # executed by a test of its own
            return
        option, module, *arguments = words
        assert option == "-m"
        asked = parse_only(module, arguments) if "--help" not in arguments else None
        if module == "maskrf_core.slurm" and asked is not None:
            importlib.import_module("maskrf_core.slurm").parse_slurm(asked.slurm)
            if hasattr(asked, "notebook"):
                parameters = [word for pair in asked.parameter for word in ("-p", *pair)]
                notebook_parameters(*papermill_asked([str(asked.notebook), str(asked.output), *parameters]))

    def check(words: list[str]) -> None:
        program, *rest = words
        if program == "papermill":
            notebook_parameters(*papermill_asked(rest))
        elif program == "python":
            check_python(rest)
        elif program == "make":
            assert re.search(rf"^{re.escape(rest[0])}:", text_of("Makefile"), re.MULTILINE) or rest == [".venv/.stamp"]
        elif program == "torchrun":
            module = rest[rest.index("-m") + 1]
            assert importlib.util.find_spec(module)
        elif program == "cd":
            assert (ROOT / rest[0]).is_dir()
        elif program == "conda":
            assert (ROOT / rest[-1]).is_file()
        else:
            assert program == "sbatch", f"no rule says how to check {shlex.join(words)}"

    return check


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_valid(page, check_command):
    for words in commands(page):
        try:
            check_command(words)
        except (SettingsError, SystemExit) as error:
            pytest.fail(f"{page}: {shlex.join(words)}\n{error}")


@pytest.mark.parametrize(
    "command",
    [
        "papermill 03_pretrain.ipynb out.ipynb -p mask_ration 0.5",
        "papermill 03_pretrain.ipynb out.ipynb -p overrides data.rayz=3",
        "papermill 04_finetune.ipynb out.ipynb -p pretrained nowhere",
        "papermill 07_nothing.ipynb out.ipynb",
        "python -m maskrf_core.slurm train runs/a --slurm partitions=gpu",
        "python -m tests.benchmarks.growth --stepz 2",
        "make nothing",
        "rm -rf everything",
    ],
)
def test_a_wrong_command_is_found(command, check_command):
    with pytest.raises((AssertionError, SettingsError, SystemExit, FileNotFoundError)):
        check_command(shlex.split(command))


def test_there_are_commands_in_the_readme_and_most_pages():
    counted = {page: len(commands(page)) for page in PAGES}
    assert counted["README.md"] >= 7
    assert sum(counted.values()) >= 50


def test_the_tables_of_runs_are_printed(tmp_path, monkeypatch, capsys):
    for stage in ("pretrain", "finetune"):
        Run.start(tmp_path / "runs/demo" / stage, load_config(stage, "demo"))
    monkeypatch.chdir(tmp_path)
    sources = [words[2] for page in PAGES for words in commands(page) if words[:2] == ["python", "-c"]]
    assert len(sources) == 2
    for source in sources:
        exec(source, {})
    assert "masking.mask_ratio" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES)
def test_python_imports_what_exists(page):
    sources = blocks(page, "python") + [words[2] for words in commands(page) if words[:2] == ["python", "-c"]]
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("maskrf_core"):
            module = importlib.import_module(node.module)
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
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


def runs_on_a_bare_clone(words: list[str]) -> bool:
    """Tell whether a command is papermill's and needs neither data, weights nor a cluster that are not there."""
    elsewhere = {"data_root", "pretrained", "checkpoint", "slurm"}
    return words[0] == "papermill" and not elsewhere & set(words) and not any("capture/" in word for word in words)


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES)
def test_what_needs_no_data_runs(page, papermill_asked, monkeypatch, tmp_path):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    monkeypatch.delenv("MASKRF_RUNS", raising=False)
    for words in filter(runs_on_a_bare_clone, commands(page)):
        notebook, asked = papermill_asked(words[1:])
        parameters = asked | {"runs_root": str(tmp_path)}
        done = execute(ROOT / "notebooks" / notebook, tmp_path / "out.ipynb", parameters=parameters)
        assert done.error is None, shlex.join(words)


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
