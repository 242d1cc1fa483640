"""What made a run: the code as committed or not, our command, and nothing of who started it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from maskrf_core.runs import Run
from maskrf_core.runs.provenance import code_state, home_shortened, provenance
from maskrf_core.settings.config import load_config
from maskrf_core.support.machine import VERSIONS_OF
from maskrf_core.support.paths import ROOT
from maskrf_core.training.reporting import begin_session


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


def command_of(tmp_path, *arguments):
    """The command that a process notes of itself, as started by these arguments in a folder of its own modules."""
    asked = "import json; from maskrf_core.runs.provenance import made_by; print(json.dumps(made_by()['command']))"
    of_package = f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules.pop('maskrf_core', None); {asked}"
    (tmp_path / "maskrf_core").mkdir(exist_ok=True)
    for module, text in {"maskrf_core/__init__": "", "maskrf_core/trial": of_package, "another": of_package}.items():
        (tmp_path / f"{module}.py").write_text(text)
    said = subprocess.run(
        [sys.executable, "-u", *arguments], cwd=tmp_path, env=os.environ | {"HOME": str(tmp_path)},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    program, *rest = json.loads(said.stdout)
    assert program == Path(sys.executable).name
    return rest


def test_the_command_is_kept_with_our_arguments_alone(tmp_path):
    run = str(tmp_path / "runs" / "a")
    assert command_of(tmp_path, "-m", "maskrf_core.trial", run) == ["-m", "maskrf_core.trial", "~/runs/a"]
    assert command_of(tmp_path, "-m", "another", "--token=secret") == ["-m", "another"]
    assert command_of(tmp_path, "another.py", "--token=secret") == []


def test_home_folders_are_shortened(tmp_path, monkeypatch):
    home, linked = tmp_path / "nfs" / "me", tmp_path / "me"
    home.mkdir(parents=True)
    linked.symlink_to(home)
    monkeypatch.setenv("HOME", str(linked))
    written = {"data_root": f"{linked}/data", "runs": [f"{home}", 3, None], f"{linked}/a": f"lost {home}/a: again"}
    assert home_shortened(written) == {"data_root": "~/data", "runs": ["~", 3, None], "~/a": "lost ~/a: again"}
    others = [f"{linked}lanie/data", f"/scratch{linked}/data", f"{linked}-2"]
    assert home_shortened(others) == others
    monkeypatch.setenv("HOME", "/")
    assert home_shortened("/data") == "/data"


def test_settings_name_no_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = load_config("pretrain", "demo", overrides={"data.data_root": str(tmp_path / "data")})
    assert str(tmp_path) not in json.dumps(provenance(0, config))
    run = Run.start(tmp_path / "run", config)
    for _ in range(2):
        begin_session(run, 0, {}, torch.device("cpu"))
    written = (run.folder / "provenance.json").read_text()
    assert str(tmp_path) not in written
    assert [session["config"] for session in json.loads(written)["sessions"]] == [None, None]
