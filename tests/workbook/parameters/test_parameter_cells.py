"""Which names count as parameters: in papermill, in JupyterLab with cells run again, and outside of both."""

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from maskrf_core.workbook.parameters.notebook_parameters import literal_assignments, parameter_names

KNOWN = ["mask_ratio", "steps", "data_root"]
CHECK = "parameters = check_parameters(Model, globals())"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("a = 1\nb = 'x'  # why\nc: float = -0.5", ["a", "b", "c"]),
        ("a = b = None", ["a", "b"]),
        ("a = [1, 2]\n", ["a"]),
        ("# only a comment", []),
        ("a = 1\nprint(a)", []),
        ("a = f(1)", []),
        ("a = b", []),
        ("a.b = 1", []),
        ("a, b = 1, 2", []),
        ("a: int", []),
        ("%matplotlib inline\na = 1", []),
        ("import os", []),
    ],
)
def test_only_cells_of_literal_assignments_count(source, names):
    assert literal_assignments(source) == names


def test_papermill_injects_a_cell_after_the_parameters():
    cells = ["", "mask_ratio = 0.5\nsteps = None", "# Parameters\nmask_ration = 0.7\n", CHECK]
    assert parameter_names({"In": cells}, KNOWN) == ["mask_ratio", "steps", "mask_ration"]


def test_injected_names_count_however_far_from_any_known_one():
    assert "zzz" in parameter_names({"In": ["", "steps = 1", "# Parameters\nzzz = 1", CHECK]}, KNOWN)


def test_a_cell_mended_and_run_again_replaces_the_earlier_one():
    cells = ["", "mask_ration = 0.5", CHECK, "mask_ratio = 0.5", CHECK]
    assert parameter_names({"In": cells}, KNOWN) == ["mask_ratio"]


def test_the_check_run_again_later_sees_the_parameter_cells_and_nothing_else():
    cells = ["", "mask_ratio = 0.5\nsteps = 3", CHECK, "import torch\nrows = 7", "columns = 4", CHECK]
    namespace = {"In": cells, "rows": 7, "columns": 4, "mask_ratio": 0.5, "steps": 3}
    assert parameter_names(namespace, KNOWN) == ["mask_ratio", "steps"]


def test_outside_of_ipython_plain_public_names_count():
    namespace = {"__name__": "x", "_private": 1, "steps": 3, "mask_ration": 0.5, "module": pytest, "run": None}
    assert parameter_names(namespace, KNOWN) == ["steps", "mask_ration", "run"]


def test_in_a_real_ipython_cells_can_be_mended_and_run_again(monkeypatch):
    monkeypatch.delenv("MASKRF_SMOKE", raising=False)
    shell = InteractiveShell(config=Config({"HistoryManager": {"hist_file": ":memory:"}}))
    check = (
        "from maskrf_core.workbook.parameters import PretrainParameters, check_parameters\n"
        "parameters = check_parameters(PretrainParameters, globals())"
    )

    def run(cell):
        result = shell.run_cell(cell, store_history=True)
        return type(result.error_in_exec).__name__ if result.error_in_exec else None

    try:
        assert [run("mask_ration = 0.25"), run(check)] == [None, "SettingsError"]
        assert [run("mask_ratio = 0.25"), run("import math\nrows = 3"), run(check), run(check)] == [None] * 4
        assert shell.user_ns["parameters"].mask_ratio == 0.25
        assert [run("mask_ratio = 2"), run(check)] == [None, "SettingsError"]
    finally:
        shell.history_manager.end_session()
