"""What IPython shows of an error of ours, and where its trace is kept."""

from pathlib import Path

import pytest

from maskrf_core.support import traces
from maskrf_core.support.errors import DatasetError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "maskrf" / "traces"


def shown() -> str:
    try:
        raise DatasetError("demo/tree: is no scene")
    except DatasetError as error:
        (line,) = error._render_traceback_()
    return line


def test_one_line_names_the_file_of_the_whole_trace(folder):
    line = shown()
    assert line.startswith("DatasetError: demo/tree: is no scene (")
    (path,) = folder.iterdir()
    assert str(path) in line
    assert f'File "{__file__}"' in path.read_text()


def test_a_file_at_home_is_named_from_there(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert "~/maskrf/traces/" in shown()


def test_only_the_newest_are_kept(folder, monkeypatch):
    monkeypatch.setattr(traces, "KEPT", 2)
    lines = [shown() for _ in range(3)]
    assert [str(path) in lines[0] for path in folder.iterdir()] == [False, False]


def test_where_none_can_be_kept_the_line_says_why(tmp_path, monkeypatch):
    (tmp_path / "maskrf").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "could not be kept" in shown()
