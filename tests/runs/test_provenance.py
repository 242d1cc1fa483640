"""Which code made a run: the commit, and whether the checkout was as committed."""

import subprocess
from pathlib import Path

import pytest

from maskrf_core.runs.provenance import code_state, provenance
from maskrf_core.support.machine import VERSIONS_OF


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_a_clean_checkout(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    assert code_state(checkout / "code.py") == {"git_commit": commit, "git_changes": False}


@pytest.mark.parametrize("name", ["code.py", "new.py"])
def test_a_dirty_one(checkout, name):
    (checkout / name).write_text("2\n")
    assert code_state(checkout / "code.py")["git_changes"] is True


def test_code_that_git_does_not_track(checkout):
    """As a package installed below another project's checkout."""
    (checkout / ".gitignore").write_text("installed.py\n")
    (checkout / "installed.py").write_text("3\n")
    assert code_state(checkout / "installed.py") == {"git_commit": None, "git_changes": None}


def test_without_git_it_is_not_known(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))
    assert code_state(checkout / "code.py") == {"git_commit": None, "git_changes": None}


def test_versions_of_all_that_decides_numbers():
    said = provenance(7)
    assert said["seed"] == 7
    assert all(said["versions"][name] for name in VERSIONS_OF)
    assert Path(said["command"][0]).name == said["command"][0]
