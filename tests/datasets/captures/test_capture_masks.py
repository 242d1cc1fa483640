"""Masks and transparency of one's own photographs reach the scene; what is not used is said."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import DatasetError
from tests.datasets.readers.trees.capture import build_transforms
from tests.datasets.traced_scene import TracedScene

SIZE = 32


@pytest.fixture
def traced() -> TracedScene:
    return TracedScene(SIZE, 4)


@pytest.fixture
def folder(tmp_path: Path, traced: TracedScene) -> Path:
    build_transforms(tmp_path, traced)
    return tmp_path / "captures/spheres"


def opened(folder: Path, size: str = "raw"):
    return open_scene(f"capture/spheres/{size}", folder.parents[1])


def write_masks(folder: Path, traced: TracedScene, name: str) -> None:
    for number, image_id in enumerate(traced.image_ids):
        path = folder / name.format(id=image_id, number=number)
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.uint8(255) * traced.mask(image_id)).save(path)


def test_cut_out_photographs_are_put_on_black(folder: Path, traced: TracedScene):
    """The colour that alpha 0 hides is not shown, at no size."""
    for image_id in traced.image_ids:
        mask = traced.mask(image_id)
        rgba = np.dstack([np.where(mask[..., None], traced.image(image_id), [255, 0, 255]), 255 * mask]).astype(
            np.uint8
        )
        Image.fromarray(rgba).save(folder / f"images/{image_id}.png")
    scene, half = opened(folder), opened(folder, str(SIZE // 2))
    for image_id in traced.image_ids:
        np.testing.assert_array_equal(scene.mask(image_id), traced.mask(image_id))
        np.testing.assert_array_equal(scene.image(image_id), traced.image(image_id))
        assert half.mask(image_id).mean() == pytest.approx(traced.mask(image_id).mean(), abs=0.05)
        assert half.image(image_id)[0, 0].max() == 0


@pytest.mark.parametrize("name", ["masks/{id}.png", "masks/{id}.png.png"])
def test_masks_beside_the_photographs_are_used(folder: Path, traced: TracedScene, name: str):
    write_masks(folder, traced, name)
    scene = opened(folder)
    for image_id in traced.image_ids:
        np.testing.assert_array_equal(scene.mask(image_id), traced.mask(image_id))
        np.testing.assert_array_equal(scene.image(image_id), traced.image(image_id))


def test_masks_of_other_padding_pair_by_number(folder: Path, traced: TracedScene):
    content = json.loads((folder / "transforms.json").read_text())
    for number, frame in enumerate(content["frames"]):
        (folder / frame["file_path"]).rename(folder / f"images/{number + 8}.png")
        frame["file_path"] = f"images/{number + 8}.png"
        mask = np.uint8(255) * traced.mask(traced.image_ids[number])
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder / f"masks/{number + 8:04}.png")
    (folder / "transforms.json").write_text(json.dumps(content))
    scene = opened(folder)
    assert scene.image_ids == ["8", "9", "10", "11"]
    for image_id, truth in zip(scene.image_ids, traced.image_ids, strict=True):
        np.testing.assert_array_equal(scene.mask(image_id), traced.mask(truth))
        np.testing.assert_array_equal(scene.image(image_id), traced.image(truth))


def test_listed_masks_are_used_and_the_background_stays(folder: Path, traced: TracedScene):
    write_masks(folder, traced, "segmentation/{number}.png")
    content = json.loads((folder / "transforms.json").read_text())
    for number, frame in enumerate(content["frames"]):
        frame["mask_path"] = f"segmentation/{number}.png"
        Image.fromarray(np.full((SIZE, SIZE, 3), 90, np.uint8)).save(folder / frame["file_path"])
    (folder / "transforms.json").write_text(json.dumps(content))
    scene = opened(folder)
    for image_id in traced.image_ids:
        np.testing.assert_array_equal(scene.mask(image_id), traced.mask(image_id))
        assert (scene.image(image_id) == 90).all()
    (folder / "segmentation/2.png").unlink()
    with pytest.raises(DatasetError, match=r"segmentation/2\.png"):
        opened(folder)


def test_masks_that_are_not_used_are_named(folder: Path, traced: TracedScene):
    write_masks(folder, traced, "images/dynamic_mask_{id}.png")
    with pytest.warns(UserWarning, match="dynamic_mask_view-0"):
        assert opened(folder).image_ids == traced.image_ids
    write_masks(folder, traced, "masks/{id}.png")
    (folder / "masks/view-2.png").unlink()
    with pytest.warns(UserWarning, match="masks is passed over.*view-2"):
        assert opened(folder).mask("view-0").all()


def test_photographs_without_a_listed_mask_are_counted(folder: Path, traced: TracedScene):
    write_masks(folder, traced, "segmentation/{number}.png")
    content = json.loads((folder / "transforms.json").read_text())
    for number, frame in enumerate(content["frames"][:3]):
        frame["mask_path"] = f"segmentation/{number}.png"
    (folder / "transforms.json").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="3 of 4 photographs list a mask"):
        scene = opened(folder)
    np.testing.assert_array_equal(scene.mask("view-0"), traced.mask("view-0"))
    assert scene.mask("view-3").all()
    content["frames"][1]["mask_path"] = 3
    (folder / "transforms.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"frame 1 .*lists the mask 3"):
        opened(folder)


@pytest.mark.parametrize("name", ["cam1/view-0.png", "view-0.jpg"])
def test_one_mask_is_not_that_of_two_photographs(folder: Path, traced: TracedScene, name: str):
    """Of two lenses with the same names, or of two files of one stem: whose it is, is not known."""
    write_masks(folder, traced, "masks/{id}.png")
    content = json.loads((folder / "transforms.json").read_text())
    (folder / "images" / name).parent.mkdir(exist_ok=True)
    Image.fromarray(traced.image("view-0")).save(folder / "images" / name)
    content["frames"].append({**content["frames"][0], "file_path": f"images/{name}"})
    (folder / "transforms.json").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match=r"masks is passed over.*view-0\.png"):
        scene = opened(folder)
    assert all(scene.mask(image_id).all() for image_id in scene.image_ids)


def test_a_mask_of_another_size_is_an_error(folder: Path, traced: TracedScene):
    write_masks(folder, traced, "masks/{id}.png")
    Image.new("L", (SIZE // 2, SIZE // 2), 255).save(folder / "masks/view-2.png")
    with pytest.raises(DatasetError, match=r"masks/view-2\.png: .*16×16, 32×32 was expected"):
        opened(folder)
