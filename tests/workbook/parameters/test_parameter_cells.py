"""Which names count as parameters: in papermill, in JupyterLab with cells edited and run again, and outside of both."""

import ast
import json

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from maskrf_core.support.errors import SettingsError
from maskrf_core.support.paths import ROOT
from maskrf_core.workbook import parameters as parameters_module
from maskrf_core.workbook.parameters import PretrainParameters, check_parameters
from maskrf_core.workbook.parameters.parameter_cells import read_parameter_cells

KNOWN = ["mask_ratio", "steps", "data_root"]
CHECK = "parameters = check_parameters(Model, globals())"


def names_in(*cells, **namespace):
    """The names that count in a notebook with these cells."""
    return read_parameter_cells({"In": ["", *cells], **namespace}, KNOWN).names


@pytest.fixture
def notebook(monkeypatch):
    """Runs cells in an IPython of its own, and returns the parameters that a check after them finds."""
    monkeypatch.delenv("MASKRF_SMOKE", raising=False)
    shell = InteractiveShell(config=Config({"HistoryManager": {"hist_file": ":memory:"}}))

    def run(*cells):
        for cell in cells:
            shell.run_cell(cell, store_history=True).raise_error()
        return check_parameters(PretrainParameters, shell.user_ns)

    yield run
    shell.history_manager.end_session()


def refusal(notebook, *cells):
    with pytest.raises(SettingsError) as caught:
        notebook(*cells)
    return str(caught.value)


@pytest.mark.parametrize(
    "beside",
    [
        "import os",
        "from pathlib import Path",
        "print('begin')",
        "data_root = str('/data')",
        "%config InlineBackend.figure_format = 'png'",
        "_folder = '/data'\ndata_root = _folder + '/x'",
        "def double(value):\n    inner = 2 * value\n    return inner",
        "for _ in range(2):\n    pass",
        "if True:\n    seed = 1",
        "try:\n    seed = 1\nfinally:\n    pass",
        "assert 1 == 1",
        "working_views: int = 3",
        "seed, working_views = 1, 3",
        "seed = [number for number in range(3)][0]",
        "del_me = None; del del_me",
        "",
    ],
)
def test_whatever_else_a_cell_holds_its_parameters_count_and_a_misspelt_one_stops(notebook, beside):
    assert notebook(f"{beside}\nmask_ratio = 0.25\nsteps = 7").mask_ratio == 0.25
    assert "maskratio: unknown parameter; did you mean mask_ratio?" in refusal(
        notebook, f"{beside}\nmaskratio = 0.3\nsteps = 7"
    )
    mended = notebook(f"{beside}\nmask_ratio = 0.3\nsteps = 8")
    assert (mended.mask_ratio, mended.steps) == (0.3, 8)


@pytest.mark.parametrize(
    "misspelt",
    [
        "import os\nmaskratio = 0.3",
        "print(1)\nmaskratio = 1 / 3",
        "maskratio = float('0.3')",
        "maskratio: float = float('0.3')",
        "if True:\n    maskratio = 0.3",
        "with open('/dev/null'):\n    maskratio = 0.3",
        "maskratio, steps = 0.3, 7",
        "(maskratio := 0.3)",
        "for maskratio in (0.3,):\n    pass",
        "exec('maskratio = 0.3')",
        "%%time\nmaskratio = 0.3",
        "%time maskratio = 0.3",
        "maskratio = 0\nmaskratio += 0.3",
    ],
)
def test_a_misspelt_parameter_in_a_cell_of_its_own_stops_however_it_is_assigned(notebook, misspelt):
    cell_of_all = "preset = 'demo'\nmask_ratio = 0.5\nsteps = 10\nseed = 0\ndata_root = 'data'"
    right = notebook(cell_of_all, misspelt.replace("maskratio", "mask_ratio"))
    assert right.mask_ratio == pytest.approx(0.3, abs=0.04)
    assert right.steps in (7, 10)
    assert "maskratio: unknown parameter" in refusal(notebook, cell_of_all, misspelt)


def test_a_parameter_that_is_taken_out_of_its_cell_is_back_at_its_default(notebook, capsys):
    before = notebook("mask_ratio = 0.9\nsteps = 10\nseed = 4")
    assert (before.mask_ratio, before.steps, before.seed) == (0.9, 10, 4)
    commented_out = notebook("mask_ratio = 0.9\n# steps = 10\nseed = 4  # kept")
    assert (commented_out.mask_ratio, commented_out.steps, commented_out.seed) == (0.9, None, 4)
    assert "steps" in capsys.readouterr().out
    all_but_one = notebook("# mask_ratio = 0.9\n# steps = 10\nseed = 4")
    assert (all_but_one.mask_ratio, all_but_one.steps, all_but_one.seed) == (0.5, None, 4)
    assert notebook("mask_ratio = 0.9\nsteps = 10\nseed = 4").steps == 10
    deleted = notebook("steps = 10\nseed = 4")
    assert (deleted.mask_ratio, deleted.steps) == (0.5, 10)
    assert notebook().mask_ratio == 0.5  # checked again


def test_what_if_false_switches_off_is_taken_out(notebook):
    notebook("mask_ratio = 0.9\nsteps = 10\nseed = 3")
    assert notebook("mask_ratio = 0.9\nif False:\n    steps = 10\nelse:\n    seed = 4").steps is None
    assert notebook("mask_ratio = 0.9\nif 1:\n    steps = 20\nseed = 4").steps == 20


def test_it_is_even_where_nothing_was_checked_in_between(notebook):
    assert notebook("mask_ratio = 0.9\nsteps = 10", "mask_ratio = 0.9\n#steps = 10").steps is None


def test_a_second_cell_adds_to_the_first(notebook):
    cell_of_all = "preset = 'demo'\nmask_ratio = 0.9\nsteps = 10\nseed = 4\ndevice = 'cpu'"
    both = notebook(cell_of_all, "import os\nsteps = 20")
    assert (both.mask_ratio, both.steps, both.seed) == (0.9, 20, 4)
    again = notebook(cell_of_all)
    assert (again.mask_ratio, again.steps) == (0.9, 10)


def test_a_value_of_which_it_is_not_clear_whether_it_counts_stops(notebook):
    cell_of_all = "preset = 'demo'\nmask_ratio = 0.9\nsteps = 10\nseed = 4\ndevice = 'cpu'"
    notebook(cell_of_all)
    assert "steps=10" in refusal(notebook, "preset = 'demo'\nseed = 4")  # most are gone: another cell, or this one?
    assert "steps=10" in refusal(notebook)
    assert notebook(cell_of_all).steps == 10
    notebook("steps = 20\nworking_views = 3")
    assert "steps=20" in refusal(notebook, "working_views = 3")  # 10, as in the first cell, or none?
    assert notebook(cell_of_all, "working_views = 3").steps == 10


def test_papermill_injects_a_cell_beside_the_parameters():
    cells = ["mask_ratio = 0.5\nsteps = None\ndata_root = 'x'", "# Parameters\nmask_ratio = 0.7\nsteps = 3\n", CHECK]
    assert names_in(*cells) == ["mask_ratio", "steps", "data_root"]
    assert "mask_ration" in names_in(cells[0], "# Parameters\nmask_ration = 0.7\n", CHECK)


def test_injected_names_count_however_far_from_any_known_one():
    assert "zzz" in names_in("steps = 1", "# Parameters\nzzz = 1", CHECK)


def test_a_cell_mended_and_run_again_replaces_the_earlier_one():
    assert names_in("mask_ration = 0.5", CHECK, "mask_ratio = 0.5", CHECK) == ["mask_ratio"]


def test_the_check_run_again_later_sees_the_parameter_cells_and_nothing_else():
    cells = ["mask_ratio = 0.5\nsteps = 3", CHECK, "import torch\nrows = 7", "columns = 4", CHECK]
    assert names_in(*cells, rows=7, columns=4, mask_ratio=0.5, steps=3) == ["mask_ratio", "steps"]


def test_outside_of_ipython_plain_public_names_count():
    namespace = {"__name__": "x", "_private": 1, "steps": 3, "mask_ration": 0.5, "module": pytest, "run": None}
    assert read_parameter_cells(namespace, KNOWN).names == ["steps", "mask_ration", "run"]


def test_in_a_real_ipython_the_check_is_a_cell_too(notebook):
    check = (
        "from maskrf_core.workbook.parameters import PretrainParameters, check_parameters\n"
        "parameters = check_parameters(PretrainParameters, globals())"
    )
    with pytest.raises(SettingsError):
        notebook("mask_ration = 0.25", check)
    assert notebook("mask_ratio = 0.25", "import math\nrows = 3", check, check).mask_ratio == 0.25
    with pytest.raises(SettingsError):
        notebook("mask_ratio = 2", check)
    assert notebook(f"mask_ratio = 0.75\n{check}").mask_ratio == 0.75


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("0*.ipynb")), ids=lambda path: path.stem)
def test_no_other_cell_of_a_notebook_is_taken_for_one_of_parameters(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    sources = {bool(tagged): [] for tagged in (True, False)}
    for cell in cells:
        sources["parameters" in cell["metadata"].get("tags", [])].append("".join(cell["source"]))
    imported = next(
        alias.name for source in sources[False] for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) for alias in node.names if alias.name.endswith("Parameters")
    )  # fmt: skip
    known = getattr(parameters_module, imported).model_fields
    read = read_parameter_cells({"In": ["", *sources[True], *sources[False]]}, known)
    assert set(read.names) == set(known)
    assert not read.dropped
    assert not read.doubtful
