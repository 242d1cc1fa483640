"""Notebooks as jobs on a real Slurm, by the command line."""

import nbformat

from maskrf_core.slurm import submit_notebook, wait
from maskrf_core.slurm.__main__ import main
from tests.cluster.small_jobs import DEADLINE, ONE_CORE, SLURM, start, until_step


def write_notebook(path, *cells):
    """A notebook whose first cell holds its parameters."""
    cells = [nbformat.v4.new_code_cell(text) for text in cells]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def printed(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def test_the_command_line_submits_a_notebook_and_waits(cluster, tmp_path, capsys):
    notebook = write_notebook(tmp_path / "half.ipynb", "mask_ratio = 0.9", "print(mask_ratio / 2)")
    arguments = ["notebook", notebook, tmp_path / "out.ipynb", "-p", "mask_ratio", "0.5", "--slurm", SLURM]
    assert main([*map(str, arguments), "--logs", str(tmp_path / "logs"), "--wait"]) == 0
    said = capsys.readouterr().out
    assert "shows where it stands" in said
    assert "all done" in said
    assert printed(tmp_path / "out.ipynb") == "0.25\n"
    assert "0.25" in next((tmp_path / "logs").glob("*_notebook.log")).read_text()


def test_a_notebook_that_is_interrupted_while_it_trains_goes_on(cluster, tmp_path):
    run = start(tmp_path / "run", **{"training.steps": 12})
    imports = "from maskrf_core.runs import Run\nfrom maskrf_core.workbook.experiments import following"
    training = "following.train(Run.open(folder))\nprint('trained')"
    cells = [f"folder = {str(run.folder)!r}", imports, training]
    notebook = write_notebook(tmp_path / "train.ipynb", *cells)
    job = submit_notebook(notebook, tmp_path / "out.ipynb", {}, ONE_CORE, tmp_path / "logs")
    until_step(run, 3)
    job._interrupt()  # SIGTERM to all of its processes, and then the signal for submitit
    assert wait([job], timeout=DEADLINE) == [str(tmp_path / "out.ipynb")]
    assert job.stdout().count("Requeued job") == 1
    assert printed(tmp_path / "out.ipynb").endswith("trained\n")
    assert (run.status.state, run.status.step) == ("finished", 12)
