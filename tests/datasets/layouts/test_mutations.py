"""Every layout, damaged in every way we could think of: a `DatasetError` that names a file, or a right result."""

import importlib
import os
import shutil
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrf_core.datasets.scene import open_scene
from maskrf_core.errors import DatasetError
from tests.datasets.layouts.mutations import mutations_of
from tests.datasets.layouts.scene_checks import assert_valid_scene

TREES = sorted(path.stem for path in (Path(__file__).parent / "trees").glob("[a-z]*.py"))
LONGEST_SECONDS = 20
"""Of opening and reading a tiny scene, on a busy machine; what hangs takes longer."""


@pytest.fixture(scope="session", params=TREES)
def tree(request, tmp_path_factory):
    """(scene name, pristine data root) of one layout."""
    root = tmp_path_factory.mktemp("pristine") / "root"
    root.mkdir()
    return importlib.import_module(f"tests.datasets.layouts.trees.{request.param}").build(root), root


@pytest.fixture
def fresh_copy(tree, tmp_path):
    """Makes copies of the pristine tree, one after the other in the same place."""
    name, pristine = tree

    def copy() -> tuple[str, Path]:
        shutil.rmtree(tmp_path, ignore_errors=True)
        shutil.copytree(pristine, tmp_path / "root", symlinks=True)
        return name, tmp_path / "root"

    return copy


def files_of(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and "cache" not in path.parts)


def snapshot(root: Path) -> dict[str, tuple[float, int]]:
    """Every file and link but the cache's, with its time and size."""
    found = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if Path(folder, name) != root / "root" / "cache"]
        for name in files:
            status = os.lstat(Path(folder, name))
            found[os.fsdecode(Path(folder, name))] = (status.st_mtime, status.st_size)
    return found


def outcome(name: str, root: Path) -> str:
    """`right` or the message of the `DatasetError`; anything else that happens is a defect of ours."""
    started = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            assert_valid_scene(open_scene(name, root))
        return "right"
    except DatasetError as error:
        return str(error)
    finally:
        assert time.monotonic() - started < LONGEST_SECONDS


def assert_names_and_advises(message: str, name: str, root: Path) -> None:
    """The message says where, and ends with what to do: more than one sentence."""
    assert str(root) in message or name in message, message
    assert len(message.split(". ")) >= 2 or ": " in message, message


def test_pristine_trees_are_right(fresh_copy):
    assert outcome(*fresh_copy()) == "right"


def test_every_mutation_of_some_file(fresh_copy):
    """Each kind of damage once, on a file drawn for it."""
    generator = np.random.default_rng(0)
    name, root = fresh_copy()
    kinds = {mutation for path in files_of(root) for mutation in mutations_of(path)}
    for mutation in sorted(kinds, key=lambda kind: kind.__name__):
        name, root = fresh_copy()
        fitting = [path for path in files_of(root) if mutation in mutations_of(path)]
        mutation(fitting[generator.integers(len(fitting))], generator)
        before = snapshot(root.parent)
        if (message := outcome(name, root)) != "right":
            assert_names_and_advises(message, name, root)
        assert snapshot(root.parent) == before, mutation.__name__


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_mutation_of_any_file(fresh_copy, data):
    name, root = fresh_copy()
    path = data.draw(st.sampled_from(files_of(root)), label="file")
    mutation = data.draw(st.sampled_from(mutations_of(path)), label="mutation")
    mutation(path, np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed")))
    before = snapshot(root.parent)
    if (message := outcome(name, root)) != "right":
        assert_names_and_advises(message, name, root)
    assert snapshot(root.parent) == before
