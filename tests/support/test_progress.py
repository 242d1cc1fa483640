"""Lines when nobody watches, a bar when somebody does."""

import sys

import pytest

from maskrf_core.support import progress
from maskrf_core.support.progress import ByteProgress, Progress, in_watched_notebook, someone_watches, tracked


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


def test_headless_iteration_says_how_far_it_is(nobody, monkeypatch, capsys):
    clock = iter(range(0, 1000, 15))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(tracked("abcd", total=4, title="rendering")) == list("abcd")
    assert capsys.readouterr().out.startswith("rendering: 2 of 4\n")


def test_bytes_are_a_bar_or_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "someone_watches", lambda: False)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1)
    bar = ByteProgress(4_000_000, "unpacking")
    bar.advance(3_000_000)
    bar.close()
    assert capsys.readouterr() == ("unpacking: 3 of 4 MB\n", "")
    monkeypatch.setattr(progress, "someone_watches", lambda: True)
    monkeypatch.setattr(progress, "in_watched_notebook", lambda: False)
    bar = ByteProgress(None, "checking")
    bar.advance(3_000_000)
    bar.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert "checking" in err
