"""Lines when nobody watches, a bar when somebody does."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from maskrf_core.support import progress
from maskrf_core.support.paths import ROOT
from maskrf_core.support.progress import CountedProgress, Progress, in_watched_notebook, someone_watches, tracked


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(progress, "someone_watches", lambda: True)
    monkeypatch.setattr(progress, "in_watched_notebook", lambda: False)


@pytest.fixture
def nobody(monkeypatch):
    monkeypatch.setattr(progress, "someone_watches", lambda: False)


def test_headless_prints_lines_and_no_bar(nobody, capsys):
    bar = Progress(3, 0, "train")
    bar.advance()
    bar.line("step 1")
    bar.close()
    out, err = capsys.readouterr()
    assert out == "step 1\n"
    assert err == ""


def test_terminal_shows_a_bar_that_starts_where_the_run_stands(terminal, capsys):
    bar = Progress(10, 4, "train")
    bar.advance()
    bar.line("step 5")
    bar.close()
    out, err = capsys.readouterr()
    assert "5/10" in err
    assert "step 5" in out


def test_tracked_yields_everything_either_way(nobody, monkeypatch, capsys):
    assert list(tracked([1, 2], total=2, title="t")) == [1, 2]
    monkeypatch.setattr(progress, "someone_watches", lambda: True)
    monkeypatch.setattr(progress, "in_watched_notebook", lambda: False)
    assert list(tracked([3], total=1, title="t")) == [3]
    assert "t:" in capsys.readouterr().err


def test_a_kernel_is_watched_only_in_a_session(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert not in_watched_notebook()
    assert not someone_watches()
    monkeypatch.setenv("JPY_SESSION_NAME", "03_pretrain.ipynb")
    assert in_watched_notebook()


def test_a_notebook_in_vs_code_is_watched(tmp_path):
    """VS Code runs an assignment before the cells; a kernel of papermill has its variables at most."""
    show = "from maskrf_core.support.progress import in_watched_notebook\nprint(in_watched_notebook())"
    cells = [new_code_cell(source) for source in (show, "__vsc_ipynb_file__ = '03_pretrain.ipynb'", show)]
    environment = {name: value for name, value in os.environ.items() if name != "JPY_SESSION_NAME"}
    path = tmp_path / "n.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    subprocess.run(
        [sys.executable, "-m", "papermill", str(path), str(path), "-k", "python3", "--cwd", str(ROOT)],
        env=environment | {"VSCODE_PID": "1", "VSCODE_CWD": "/", "PYTHONPATH": str(ROOT)}, check=True,
        capture_output=True,
    )  # fmt: skip
    first, _, last = nbformat.read(path, 4).cells
    assert [cell.outputs[0].text for cell in (first, last)] == ["False\n", "True\n"]


def test_headless_iteration_says_how_far_it_is(nobody, monkeypatch, capsys):
    clock = iter(range(0, 1000, 15))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(tracked("abcd", total=4, title="rendering")) == list("abcd")
    assert capsys.readouterr().out.startswith("rendering: 2 of 4\n")


def test_bytes_are_a_bar_or_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "someone_watches", lambda: False)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1)
    bar = CountedProgress(4_000_000, "unpacking", in_bytes=True)
    bar.advance(3_000_000)
    bar.close()
    assert capsys.readouterr() == ("unpacking: 3 of 4 MB\n", "")
    monkeypatch.setattr(progress, "someone_watches", lambda: True)
    monkeypatch.setattr(progress, "in_watched_notebook", lambda: False)
    bar = CountedProgress(None, "checking", in_bytes=True)
    bar.advance(3_000_000)
    bar.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert "checking" in err
