import json
from pathlib import Path

import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import DatasetError
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.readers.published import assert_as_published
from tests.datasets.readers.trees.spaces import SIZES, build

NAME = "space/scene_038"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path)
    return tmp_path / "spaces_dataset/data/800/scene_038"


def edit(folder: Path, change) -> None:
    """`change` alters the cameras in place; what it returns, if it is a list or an object, replaces them."""
    content = json.loads((folder / "models.json").read_text())
    changed = change(content)
    (folder / "models.json").write_text(json.dumps(changed if isinstance(changed, list | dict) else content))


def test_reproduces_the_reference_reader(shared: Path):
    assert_as_published(shared, "space/scene_000", grey_levels=0)


def test_camera_by_hand(tmp_path: Path, folder: Path):
    edit(folder, lambda rigs: rigs[1][0].update(orientation=[0, np.pi / 2, 0], position=[1, 2, 3]))
    scene = open_scene(NAME, tmp_path)
    np.testing.assert_allclose(scene.w2c("1-0"), [[0, 0, 1, -3], [0, 1, 0, -2], [-1, 0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(scene.K("1-0"), [[30, 0, 20.5], [0, 33, 11.5], [0, 0, 1]])
    assert scene.depth_range("1-0") == (0.7, 100)


def test_images_of_unequal_size_come_as_they_are_with_intrinsics_to_fit(tmp_path: Path, folder: Path):
    scene = open_scene(NAME, tmp_path)
    assert [scene.image(f"0-{camera}").shape[:2] for camera in range(3)] == list(SIZES)
    assert [scene.mask(f"0-{camera}").shape for camera in range(3)] == list(SIZES)
    np.testing.assert_allclose(scene.K("0-1"), [[15, 0, 10.25], [0, 16.5, 5.75], [0, 0, 1]])
    np.testing.assert_allclose(scene.K("0-2"), [[24, 0, 16.4], [0, 33, 11.5], [0, 0, 1]])


def test_paths_as_windows_writes_them(tmp_path: Path, folder: Path):
    before = open_scene(NAME, tmp_path).image("1-0")
    edit(folder, lambda rigs: rigs[1][0].update(relative_path=rigs[1][0]["relative_path"].replace("/", "\\")))
    np.testing.assert_array_equal(open_scene(NAME, tmp_path).image("1-0"), before)


def test_splits(tmp_path: Path, folder: Path):
    scene = open_scene(NAME, tmp_path)
    assert scene.image_ids == ["0-0", "0-1", "0-2", "1-0", "1-1", "1-2"]
    assert scene.split("train") == (scene.image_ids, scene.image_ids)
    assert scene.split("test") == (scene.image_ids[1:], ["0-0"])


def test_kept_depth_takes_the_image_s_own_size(tmp_path: Path, folder: Path):
    cache = tmp_path / "colmap_forward_cache/space/scene_038/dense_out/stereo/depth_maps"
    cache.mkdir(parents=True)
    write_colmap_depth(cache / "0-1.jpg.geometric.bin", np.array([[2, 900]], np.float32))
    scene = open_scene(NAME, tmp_path)
    np.testing.assert_array_equal(scene.depth("0-1"), np.kron([[2, 100]], np.ones((12, 10))))
    assert scene.depth("0-0") is None


def setting(**fields):
    return lambda rigs: rigs[1][2].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rigs: {"rigs": rigs}, "holds a JSON dict, a list was expected"),
        (lambda rigs: [[]], "a list of lists of cameras"),
        (lambda rigs: rigs[1][2].pop("relative_path"), "place 1, camera 2: has no relative_path"),
        (setting(relative_path="../../secret.jpg"), "not inside the scene"),
        (setting(relative_path="cam_09/image_000.jpg"), r"place 1, camera 2: lists cam_09/image_000\.jpg.*missing"),
        (setting(width="40px"), "place 1, camera 2: width is missing or not made of numbers"),
        (setting(height=0), "place 1, camera 2: width and height must be positive"),
        (setting(position=[1, 2]), "place 1, camera 2: position is not 3 finite"),
        (setting(position=[1, 2, float("nan")]), "place 1, camera 2: position is not 3 finite"),
        (setting(focal_length=-30), "place 1, camera 2: the intrinsics"),
        (setting(orientation=[10**400, 0, 0]), "place 1, camera 2: orientation is missing or not"),
    ],
)
def test_broken_models(tmp_path: Path, folder: Path, change, message: str):
    edit(folder, change)
    with pytest.raises(DatasetError, match=message) as error:
        open_scene(NAME, tmp_path)
    assert str(folder) in str(error.value)


def test_missing_models_and_names(tmp_path: Path, folder: Path):
    with pytest.raises(DatasetError, match="Did you mean 'scene_038'"):
        open_scene("space/scene_039", tmp_path)
    with pytest.raises(DatasetError, match="such as space/scene_000"):
        open_scene("space/scene_038/4", tmp_path)
    (folder / "models.json").unlink()
    with pytest.raises(DatasetError, match=r"models\.json: cannot be read"):
        open_scene(NAME, tmp_path)
