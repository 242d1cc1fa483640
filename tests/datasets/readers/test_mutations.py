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
from maskrf_core.support.errors import DatasetError
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.readers.mutations import array_changed, bytes_changed, mutations_of, number_replaced, truncated
from tests.datasets.readers.scene_checks import assert_valid_scene
from tests.tiers import draws

TREES = sorted(path.stem for path in (Path(__file__).parent / "trees").glob("[a-z]*.py"))
DRAWS = {number_replaced: 30, array_changed: 10, bytes_changed: 2, truncated: 2}
LONGEST_SECONDS = 20
"""Of opening and reading a tiny scene, on a busy machine; what hangs takes longer."""


COLMAP_DEPTH = {
    "real_iconic": "colmap_forward_cache/{name}/dense_out/stereo/depth_maps/{image_id}.jpg.geometric.bin",
    "dtu_train": "colmap_dtu_cache/{name}/dense/stereo/depth_maps/{image_id}.jpg.geometric.bin",
}
"""Where depth maps are added to a tree, so that they are damaged too."""


@pytest.fixture(scope="session", params=TREES)
def tree(request, tmp_path_factory):
    """(scene name, pristine data root) of one layout."""
    root = tmp_path_factory.mktemp("pristine") / "root"
    root.mkdir()
    name = importlib.import_module(f"tests.datasets.readers.trees.{request.param}").build(root)
    if request.param in COLMAP_DEPTH:
        scene = open_scene(name, root)
        for image_id in scene.image_ids:
            depth = np.full(scene.mask(image_id).shape, scene.depth_range(image_id)[0], np.float32)
            write_colmap_depth(root / COLMAP_DEPTH[request.param].format(name=name, image_id=image_id), depth)
            assert scene.depth(image_id) is not None
    return name, root


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


def assert_right_or_refused(name: str, root: Path, damage: str) -> None:
    """A right result, or a message that says where; and nothing is written but in the cache."""
    before = snapshot(root.parent)
    if (message := outcome(name, root)) != "right":
        assert str(root) in message or name in message, f"{damage}: {message}"
        assert message.endswith((".", "?")), f"{damage}: {message}"
        assert len(message.split(". ")) >= 2, f"{damage} is named without a remedy: {message}"
    assert snapshot(root.parent) == before, f"{damage}: something was written"


def test_pristine_trees_are_right(fresh_copy):
    assert outcome(*fresh_copy()) == "right"


def test_every_mutation_of_every_kind_of_file(fresh_copy):
    """Each kind of damage on a file of each folder and type, and more often where it draws what it changes."""
    generator = np.random.default_rng(0)
    name, root = fresh_copy()
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in files_of(root):
        groups.setdefault((path.parent, path.suffix), []).append(path)
    for paths in groups.values():
        for mutation in mutations_of(paths[0]):
            for _ in range(draws(DRAWS.get(mutation, 1))):
                name, root = fresh_copy()
                mutation(paths[generator.integers(len(paths))], generator)
                assert_right_or_refused(name, root, mutation.__name__)


@settings(
    max_examples=draws(30), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_mutation_of_any_file(fresh_copy, data):
    name, root = fresh_copy()
    path = data.draw(st.sampled_from(files_of(root)), label="file")
    mutation = data.draw(st.sampled_from(mutations_of(path)), label="mutation")
    mutation(path, np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed")))
    assert_right_or_refused(name, root, mutation.__name__)
