"""Hold the commands of the README and of `docs` to what is there: notebooks, parameters, settings, options, targets."""

import argparse
import importlib
import re
import shlex
import sys

import nbformat
import papermill.cli
import pytest
from click.testing import CliRunner

from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.support.errors import SettingsError
from maskrf_core.workbook.execution import execute
from tests.pages import PAGES, ROOT, blocks, commands, text_of

PUBLISHED = ("generalization/depth", "generalization/cost_volume", "finetune/nerf_synthetic/lego",
             "finetune/Synthetic_test/lego", "finetune/DTU_test/snowman")  # fmt: skip


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
def my_masks(tmp_path, monkeypatch):
    """Have the modules that the page on extending tells to write, here and in processes that are started."""
    written = blocks("docs/extending.md", "python")
    (tmp_path / "my_masks.py").write_text(written[0], encoding="utf-8")
    (aggregator,) = (block for block in written if "(Aggregator)" in block)
    (tmp_path / "my_models.py").write_text(aggregator, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")


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


@pytest.mark.usefixtures("my_masks")
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


def runs_on_a_bare_clone(words: list[str]) -> bool:
    """Tell whether a command is papermill's and needs neither data, weights nor a cluster that are not there."""
    elsewhere = {"data_root", "pretrained", "checkpoint", "slurm"}
    return words[0] == "papermill" and not elsewhere & set(words) and not any("capture/" in word for word in words)


@pytest.mark.long
@pytest.mark.usefixtures("my_masks")
@pytest.mark.parametrize("page", PAGES)
def test_what_needs_no_data_runs(page, papermill_asked, monkeypatch, tmp_path):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    monkeypatch.delenv("MASKRF_RUNS", raising=False)
    for words in filter(runs_on_a_bare_clone, commands(page)):
        notebook, asked = papermill_asked(words[1:])
        parameters = asked | {"runs_root": str(tmp_path)}
        if notebook.startswith("02"):  # a grid: every point of it, for a moment
            parameters |= {"pretrain_steps": 2, "finetune_steps": 2}
        error = execute(ROOT / "notebooks" / notebook, tmp_path / "out.ipynb", parameters=parameters)
        assert error is None, shlex.join(words)


@pytest.mark.parametrize(
    ("name", "setting"), [("same_samples", "masking.strategy"), ("MeanOverViews", "model.aggregator")]
)
def test_what_a_cell_defines_trains(name, setting, tmp_path, monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    monkeypatch.chdir(tmp_path)
    cells = {}
    _, training, *_ = written = blocks("docs/extending.md", "python")
    (defined,) = (block for block in written if f"def {name}(" in block or f"class {name}(" in block)
    exec(defined, cells)
    monkeypatch.setattr(sys.modules["__main__"], name, cells[name], raising=False)
    asked = training.replace("60", "3").replace("masking.strategy", setting).replace(":same_samples", f":{name}")
    exec(asked, cells)
    (folder,) = tmp_path.glob("runs/demo/*")
    assert (Run.open(folder).status.state, Run.open(folder).status.step) == ("finished", 3)
