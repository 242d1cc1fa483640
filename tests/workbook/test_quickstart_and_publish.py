"""Executing notebooks: what is said meanwhile, what is kept of a page, and what keeps it off."""

import io
import json
from pathlib import Path

import nbformat
import pytest
from ipykernel.ipkernel import IPythonKernel
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from maskrf_core.runs import Run
from maskrf_core.runs.status import owned
from maskrf_core.settings.config import load_config
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.paths import ROOT
from maskrf_core.workbook import execution, publish, quickstart
from maskrf_core.workbook.execution import Indented, execute
from maskrf_core.workbook.experiments import trainings
from maskrf_core.workbook.figures import moving_pictures
from maskrf_core.workbook.parameters import PretrainParameters


def write_notebook(path, *sources):
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)
    return path


def test_execution_shows_prints_and_keeps_the_failure(tmp_path):
    notebook = write_notebook(tmp_path / "n.ipynb", "print('before')", "1 / 0", "print('after')")
    stream = io.StringIO()
    executed = tmp_path / "out" / "n.ipynb"
    assert execute(notebook, executed, stream=stream) == "ZeroDivisionError: division by zero"
    assert stream.getvalue() == "    before\n"
    assert "before" in str(nbformat.read(executed, 4).cells)


def test_indented_keeps_lines_whole():
    stream = io.StringIO()
    indented = Indented(stream, "> ")
    for part in ("a", "b\nc", "\n\n"):
        assert indented.write(part) == len(part)
    assert stream.getvalue() == "> ab\n> c\n> \n"


@pytest.fixture
def no_runs(tmp_path, monkeypatch):
    monkeypatch.delenv("MASKRF_SMOKE", raising=False)
    monkeypatch.setenv("MASKRF_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def test_quickstart_stops_at_a_failing_notebook_and_says_which(no_runs, monkeypatch, capsys):
    asked = []

    def fails(notebook, output, *, parameters):
        asked.append(notebook.stem)
        return "ValueError: no"

    monkeypatch.setattr(quickstart, "execute", fails)
    assert quickstart.main() == 1
    assert asked == [quickstart.STEPS[0].notebook]
    assert "05_evaluate failed: ValueError: no" in capsys.readouterr().err


def test_quickstart_ends_with_a_page_of_pictures_and_numbers(no_runs, monkeypatch, capsys):
    methods = {"nearest-view copy": {"psnr": 12.345, "ssim": 0.5}, "ours": {"psnr": 20.0, "ssim": None}}

    def execute(notebook, output, *, parameters):
        folder = no_runs / "demo" / output.stem
        (folder / "figures").mkdir(parents=True)
        (folder / f"{notebook.stem}.html").write_text("page")
        (folder / "results.json").write_text(json.dumps({"results": {"methods": methods}}))
        Image.new("RGB", (4, 4)).save(folder / "figures" / "losses.png")

    monkeypatch.setattr(quickstart, "execute", execute)
    assert quickstart.main() == 0
    lines = capsys.readouterr().out.splitlines()
    numbers = [line.split()[-2:] for line in lines if line.startswith(("nearest", "ours"))]
    assert numbers == 2 * [["12.35", "0.500"], ["20.00", "n/a"]]
    page = (no_runs / "quickstart.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(quickstart.STEPS)
    assert "20.00" in page
    assert 'href="demo/4_03_pretrain/03_pretrain.html"' in page


def page(*outputs):
    cell = new_code_cell("1", id="c0", outputs=list(outputs), metadata={"tags": ["parameters"], "papermill": {"a": 1}})
    metadata = {
        "papermill": {"input_path": "x"},
        "kernelspec": {"name": "mine", "display_name": "Mine"},
        "language_info": {"name": "python", "version": "3"},
    }
    return new_notebook(cells=[new_markdown_cell("m", metadata={"collapsed": True}), cell], metadata=metadata)


def test_cleaning_keeps_content_and_drops_what_varies():
    parts = [new_output("stream", name="stdout", text=text) for text in ("a\n", "b\n")]
    cleaned = publish.cleaned(page(*parts, new_output("stream", name="stderr", text="c")))
    assert set(cleaned.metadata) == {"kernelspec", "language_info"}
    assert cleaned.metadata.kernelspec.name == "python3"
    assert cleaned.cells[0].metadata == {}
    assert cleaned.cells[1].metadata == {"tags": ["parameters"]}
    assert [(output.name, output.text) for output in cleaned.cells[1].outputs] == [
        ("stdout", "a\nb\n"),
        ("stderr", "c"),
    ]
    nbformat.validate(cleaned)


def test_pictures_that_move_are_left_out_and_that_is_said():
    moving = f'<div class="{moving_pictures.CLASS}"><script>1</script></div>'
    cleaned = publish.cleaned(page(new_output("display_data", data={"text/html": moving})))
    (output,) = cleaned.cells[1].outputs
    assert moving_pictures.STILL in output.data["text/html"]
    assert "<script" not in output.data["text/html"]


def test_pages_that_are_not_fit_are_named():
    assert publish.page_faults(page(new_output("stream", text="runs/demo/pretrain")), publish.machine_paths()) == []
    shown = page(new_output("stream", text=f"in {ROOT}/runs"))
    assert f"cell c0 shows the path {ROOT}" in publish.page_faults(shown, publish.machine_paths())
    table = page(new_output("display_data", data={"text/html": f"<td>{ROOT}</td>"}))
    assert publish.page_faults(table, [str(ROOT)]) == [f"cell c0 shows the path {ROOT}"]
    large = page(new_output("display_data", data={"image/png": "A" * publish.LARGEST}))
    assert "more than 300000" in publish.page_faults(large, [])[0]
    failed = page(new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"]))
    assert publish.page_faults(failed, []) == ["cell c0 ends in ValueError"]


@pytest.mark.parametrize(("text", "faults"), [("at /root/x", 1), ("at /rootless/x", 0), ("../root/x", 0)])
def test_a_path_is_not_found_in_a_longer_name(text, faults):
    assert len(publish.page_faults(page(new_output("stream", text=text)), ["/root"])) == faults


def test_publishing_replaces_nothing_where_one_notebook_fails(tmp_path, monkeypatch, capsys):
    notebook = write_notebook(tmp_path / "01_a.ipynb", "print(1)")
    before = notebook.read_bytes()
    monkeypatch.setattr(publish, "notebooks", lambda: [notebook])
    monkeypatch.setattr(publish, "RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MASKRF_RUNS", "")
    monkeypatch.setattr(publish, "LARGEST", 10)
    assert publish.main() == 1
    assert "01_a was not published" in capsys.readouterr().err
    assert notebook.read_bytes() == before
    monkeypatch.setattr(publish, "LARGEST", 300_000)
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    assert publish.main() == 0
    (cell,) = nbformat.read(notebook, 4).cells
    assert cell.outputs[0].text == "1\n"


def test_runs_of_people_are_not_removed_by_publishing(monkeypatch, tmp_path):
    monkeypatch.delenv("MASKRF_RUNS", raising=False)
    parameters = PretrainParameters(run="published", runs_root=str(tmp_path))
    theirs = trainings.pretraining(parameters).folder.resolve()
    removed = (tmp_path / Path(publish.RUNS).name).resolve()
    assert removed not in (theirs, *theirs.parents)
    for name in (".published", f"../{tmp_path.name}/{Path(publish.RUNS).name}/demo"):
        with pytest.raises(SettingsError, match="hidden"):
            trainings.pretraining(PretrainParameters(run=name, runs_root=str(tmp_path)))


def test_publishing_removes_nothing_that_is_being_trained(tmp_path, monkeypatch, capsys):
    run = Run.start(tmp_path / "runs" / "demo" / "pretrain", load_config("pretrain", "demo"))
    monkeypatch.setattr(publish, "notebooks", list)
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    monkeypatch.setattr(publish, "RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MASKRF_RUNS", "")
    with owned(run.folder):
        assert publish.main() == 1
    assert "is being trained" in capsys.readouterr().err
    assert run.config_path.is_file()
    assert publish.main() == 0
    assert not run.folder.exists()


def test_notebooks_come_in_order():
    names = [path.name for path in execution.notebooks()]
    assert names == sorted(names)
    assert names[0].startswith("00_")


@pytest.mark.parametrize("path", execution.notebooks(), ids=lambda path: path.stem)
def test_a_notebook_holds_what_jupyterlab_would_write_when_it_opens_it(path):
    metadata = nbformat.read(path, 4).metadata
    assert metadata.kernelspec == publish.kernelspec()
    versions = {"version": metadata.language_info.version}  # of the Python that executed it
    assert metadata.language_info == IPythonKernel.language_info | versions
