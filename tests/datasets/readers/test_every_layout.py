"""What holds of every scene, on the tiny trees: the interface's shapes, types and ranges."""

import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from maskrf_core.datasets.files.checked_files import check_depth_range, check_intrinsics, check_w2c
from maskrf_core.datasets.files.image_files import IMAGE_SUFFIXES
from maskrf_core.datasets.scene import Scene, open_scene, scene_names
from maskrf_core.support.errors import DatasetError

TREES = sorted(path.stem for path in (Path(__file__).parent / "trees").glob("*.py"))


@pytest.fixture(params=TREES)
def built(request, tmp_path: Path) -> tuple[str, Path]:
    return import_module(f"tests.datasets.readers.trees.{request.param}").build(tmp_path), tmp_path


def test_scene_satisfies_the_interface(built: tuple[str, Path]):
    name, data_root = built
    scene = open_scene(name, data_root)
    assert isinstance(scene, Scene)
    assert scene.name == name
    assert len(set(scene.image_ids)) == len(scene.image_ids) >= 3
    assert all(isinstance(image_id, str) for image_id in scene.image_ids)
    for image_id in scene.image_ids:
        image, mask, depth = scene.image(image_id), scene.mask(image_id), scene.depth(image_id)
        assert image.dtype == np.uint8
        assert image.shape == (*mask.shape, 3)
        assert mask.dtype == bool
        assert depth is None or (depth.shape == mask.shape and depth.dtype == np.float32 and (depth >= 0).all())
        K, w2c = scene.K(image_id), scene.w2c(image_id)
        assert K.shape == (3, 3)
        assert w2c.shape == (3, 4)
        check_intrinsics(K, name)
        check_w2c(w2c, name)
        check_depth_range(*scene.depth_range(image_id), name)
        K[:], w2c[:] = 0, 0  # what is handed out is a copy
        assert scene.K(image_id).any()
        assert scene.w2c(image_id).any()


def test_splits_name_images_of_the_scene(built: tuple[str, Path]):
    scene = open_scene(*built)
    for kind in ("train", "validation", "test"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # absent validation frames of nerf_synthetic
            references, queries = scene.split(kind)
        assert references
        assert queries
        assert {*references, *queries} <= set(scene.image_ids)
        assert kind == "train" or not set(references) & set(queries)
        references.clear()
        queries.clear()
        assert scene.image_ids
        assert all(scene.split("train"))


def test_data_set_lists_the_scene(built: tuple[str, Path]):
    name, data_root = built
    data_set, *rest = name.split("/")
    listed = scene_names(data_set, data_root)
    assert [other.split("/")[1] for other in listed] == [rest[0]]
    assert scene_names(data_set, data_root / "absent") == []


def test_a_damaged_image_is_an_error_when_it_is_decoded(built: tuple[str, Path]):
    name, data_root = built
    for path in data_root.rglob("*"):
        if path.suffix in IMAGE_SUFFIXES:
            path.write_bytes(path.read_bytes()[:-20])
    if name.startswith("capture/"):  # opening undoes the distortion of all its images
        with pytest.raises(DatasetError, match="cut short or damaged"):
            open_scene(name, data_root)
        return
    scene = open_scene(name, data_root)
    for image_id in scene.image_ids:
        with pytest.raises(DatasetError, match="cut short or damaged"):
            scene.image(image_id)
