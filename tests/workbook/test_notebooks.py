"""The notebooks as files: parameters that match their models, short cells, and pages that any reader may see."""

import ast
import re
import subprocess
import sys
from statistics import median

import nbformat
import papermill
import pytest

from maskrf_core.support.paths import ROOT
from maskrf_core.workbook import parameters as models
from maskrf_core.workbook.execution import NOTEBOOKS, notebooks
from maskrf_core.workbook.publish import LARGEST, machine_paths, output_text, page_faults

MODELS = {
    "00_method": models.MethodParameters,
    "01_data_prep": models.DataParameters,
    "02_mask_ratio_ablation": models.AblationParameters,
    "03_pretrain": models.PretrainParameters,
    "04_finetune": models.FinetuneParameters,
    "05_evaluate": models.EvaluateParameters,
    "06_performance": models.PerformanceParameters,
}
ANY_MACHINE = re.compile(r"(?<![\w.])/(home|root|Users|tmp|mnt|opt|var)/")


def cells_of(name, kind="code"):
    return [cell for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4).cells if cell.cell_type == kind]


def tagged(name):
    return [cell for cell in cells_of(name) if "parameters" in cell.metadata.get("tags", [])]


def test_every_notebook_is_known_here():
    assert [path.stem for path in notebooks()] == list(MODELS)


@pytest.mark.parametrize("name", MODELS)
class TestNotebook:
    def test_parameters_are_those_of_the_model(self, name):
        (cell,) = tagged(name)
        values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell.source).body}
        assert values == {field: info.default for field, info in MODELS[name].model_fields.items()}
        assert all("  # " in line for line in cell.source.splitlines())

    def test_papermill_finds_every_parameter(self, name):
        assert set(papermill.inspect_notebook(str(NOTEBOOKS / f"{name}.ipynb"))) == set(MODELS[name].model_fields)

    def test_they_are_checked_before_anything_else_happens(self, name):
        first, second = cells_of(name)[:2]
        assert "parameters" in first.metadata.tags
        assert f"check_parameters({MODELS[name].__name__}, globals())" in second.source
        assert second.source.count("import") == 1

    def test_no_cell_reuses_a_parameters_name(self, name):
        # The check could not be run again then.
        assigned = {
            node.id
            for cell in cells_of(name)[1:]
            for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        assert not assigned & set(MODELS[name].model_fields)

    def test_cells_are_short_and_hold_no_logic(self, name):
        lengths = [len(cell.source.splitlines()) for cell in cells_of(name)]
        assert max(lengths) <= 25
        assert median(lengths) <= 8
        for cell in cells_of(name):
            assert not any(
                isinstance(node, ast.ClassDef | ast.FunctionDef) for node in ast.walk(ast.parse(cell.source))
            )

    def test_it_asks_expects_checks_and_records(self, name):
        opening = cells_of(name, "markdown")[0].source
        assert "**Question.**" in opening
        assert "**Expect.**" in opening
        code = [cell.source for cell in cells_of(name)]
        assert sum("assert " in source for source in code) >= 2
        assert "record(" in code[-1]

    def test_the_page_is_small_and_shows_no_machine(self, name):
        assert (NOTEBOOKS / f"{name}.ipynb").stat().st_size <= LARGEST
        assert page_faults(nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4), machine_paths()) == []
        for cell in cells_of(name):
            assert not any(ANY_MACHINE.search(output_text(output)) for output in cell.outputs)

    def test_it_is_plain_nbformat_4(self, name):
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)
        nbformat.validate(notebook)
        assert notebook.nbformat == 4
        assert notebook.metadata.kernelspec.name == "python3"
        assert set(notebook.metadata) == {"kernelspec", "language_info"}
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_papermill_stops_at_a_misspelt_parameter(tmp_path):
    command = [sys.executable, "-m", "papermill", "03_pretrain.ipynb", str(tmp_path / "out.ipynb"), "-k", "python3"]
    asked = ["-p", "mask_ration", "0.5", "-p", "mask_ratio", "1.5", "-p", "runs_root", str(tmp_path)]
    done = subprocess.run([*command, *asked], cwd=ROOT / "notebooks", capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "mask_ration: unknown parameter; did you mean mask_ratio?" in done.stderr
    assert "mask_ratio=1.5: must be ≥ 0 and < 1" in done.stderr
    executed = [cell for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells if cell.get("execution_count")]
    assert "check_parameters" in executed[-1].source
    seconds = sum(cell.metadata.papermill.duration for cell in executed)
    assert seconds < 20  # half a second where nothing else runs
    assert list(tmp_path.iterdir()) == [tmp_path / "out.ipynb"]
