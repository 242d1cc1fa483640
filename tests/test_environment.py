"""pyproject.toml, requirements.lock and environment.yml describe one environment, and it is the one in use."""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from jupyter_client.kernelspec import KernelSpecManager
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def locked_requirements() -> list[Requirement]:
    lines = (line.partition(" #")[0].strip() for line in (ROOT / "requirements.lock").read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def versions_on_linux(python: str) -> dict[str, list[Version]]:
    """Canonical name → the versions that the lock asks for under this python."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_machine": "x86_64",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
    }
    versions: dict[str, list[Version]] = {}
    for requirement in locked_requirements():
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (pin,) = requirement.specifier
            versions.setdefault(canonicalize_name(requirement.name), []).append(Version(pin.version))
    return versions


def declared_requirements() -> list[Requirement]:
    """What the package, its extras and its build ask for, without the extras' mention of each other."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    lines = [*project["dependencies"], *pyproject["build-system"]["requires"]]
    lines += [line for extra in project["optional-dependencies"].values() for line in extra]
    return [requirement for requirement in map(Requirement, lines) if requirement.name != project["name"]]


def test_every_locked_line_names_one_version():
    for requirement in locked_requirements():
        assert [pin.operator for pin in requirement.specifier] == ["=="], requirement
        assert "*" not in str(requirement.specifier), requirement
        assert requirement.url is None, requirement


def test_lock_holds_one_torch_and_leaves_cuda_to_it():
    names = [canonicalize_name(requirement.name) for requirement in locked_requirements()]
    assert [str(r) for r in locked_requirements() if r.name == "torch"] == ["torch==2.13.0"]
    assert not [name for name in names if name.startswith(("nvidia-", "cuda-"))]


def test_all_but_torchs_builds_have_hashes():
    """One list with the other, line by line, so that none is installed by the lock alone."""
    text = (ROOT / "requirements.hashes").read_text()
    lines = [line for line in text.replace("\\\n", "").splitlines() if line and not line.startswith("#")]
    hashed = {str(Requirement(line.partition("--hash")[0])): line.split()[-1] for line in lines}
    locked = [requirement for requirement in locked_requirements() if requirement.name not in ("torch", "torchvision")]
    assert sorted(hashed) == sorted(map(str, locked)), "run `make lock`"
    assert [name for name, value in hashed.items() if not re.fullmatch("--hash=sha256:[0-9a-f]{64}", value)] == []
    assert "://" not in text


def test_make_installs_by_hashes_first():
    installs = re.findall(r"pip .*install (.*)-r (\S+)", (ROOT / "Makefile").read_text())
    assert [name for _, name in installs] == ["requirements.hashes", "requirements.lock"]
    assert {"--require-hashes", "--no-deps"} <= set(installs[0][0].split())


def test_lock_names_no_place_to_download_from():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert [line for line in text.splitlines() if line.startswith("-")] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_satisfies_pyproject(python):
    versions = versions_on_linux(python)
    for requirement in declared_requirements():
        found = versions.get(canonicalize_name(requirement.name), [])
        assert len(found) == 1, f"{requirement} has {found} in the lock: run `make lock`"
        assert found[0] in requirement.specifier, f"{requirement} has {found[0]} in the lock: run `make lock`"


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_is_unambiguous(python):
    assert {name: found for name, found in versions_on_linux(python).items() if len(found) > 1} == {}


def test_conda_environment_installs_the_lock_and_nothing_beside_it():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip_part,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert pip_part == ["-r requirements.lock", "-e ."]
    from_conda = [entry for entry in dependencies if isinstance(entry, str)]
    assert sorted(entry.partition("=")[0] for entry in from_conda) == ["make", "pip", "python"]


def test_conda_python_is_one_we_lock_for():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (python,) = [entry.partition("=")[2] for entry in dependencies if str(entry).startswith("python=")]
    assert python in PYTHONS


def test_the_torch_in_use_is_the_pin():
    assert Version(version("torch")).public == "2.13.0"


def test_jupyter_finds_this_environments_kernel():
    kernel = KernelSpecManager().get_kernel_spec("python3")
    assert Path(kernel.resource_dir).is_relative_to(sys.prefix)
