"""The shipped demo scenes: counts and formats, geometry, difficulty, splits, errors."""

import re

import cv2
import numpy as np
import pytest
import torch

from maskrf_core.cameras import back_project, project
from maskrf_core.datasets import demo
from maskrf_core.datasets.demo import demo_scene_names
from maskrf_core.datasets.files.sheets import decode_depth, encode_depth
from maskrf_core.datasets.procedural.arrangements import temple
from maskrf_core.datasets.procedural.demo_recipes import RECIPES
from maskrf_core.datasets.records import place_of
from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import DatasetError

SPLITS = ("train", "validation", "test")
ALL_NAMES = [name for split in SPLITS for name in demo_scene_names(split)]


def test_there_are_enough_scenes_and_the_splits_share_none():
    counts = [len(demo_scene_names(split)) for split in SPLITS]
    assert counts[0] >= 16
    assert counts[1] >= 2
    assert counts[2] >= 4
    assert len(set(ALL_NAMES)) == sum(counts)
    assert {name.removeprefix("demo/") for name in ALL_NAMES} == set(RECIPES)


def test_test_scenes_have_shapes_textures_and_an_arrangement_of_their_own():
    def used(place, *splits):
        recipes = [recipe for name, recipe in RECIPES.items() if name.startswith(splits)]
        return {word for recipe in recipes for word in recipe[place].split()} if place else {r[0] for r in recipes}

    assert used(0, "test") - used(0, "train", "validation") == {temple}
    assert used(1, "test") - used(1, "train", "validation") == {"goblet", "star", "pebble", "trefoil", "cinquefoil"}
    assert "zigzag" not in used(2, "train")


def test_all_data_is_at_most_8_megabytes():
    files = [path for path in demo.DATA_FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 8e6
    assert len(files) == 3 * len(ALL_NAMES) + 2, "a stray or missing file in the data folder; photographs have no depth"


@pytest.mark.parametrize("name", ALL_NAMES)
def test_every_view_is_sound(name):
    scene = open_scene(name)
    assert scene.name == name
    assert len(scene.image_ids) == len(set(scene.image_ids)) >= 20
    for image_id in scene.image_ids:
        image, depth, mask = scene.image(image_id), scene.depth(image_id), scene.mask(image_id)
        assert image.shape == (96, 96, 3)
        assert image.dtype == np.uint8
        assert depth.shape == mask.shape == (96, 96)
        assert depth.dtype == np.float32
        assert mask.dtype == bool
        assert np.array_equal(depth > 0, mask)
        assert 0.12 < mask.mean() < 0.9
        near, far = scene.depth_range(image_id)
        assert 0 < near < depth[mask].min()
        assert depth.max() < far < 2.5 * near
        # A sliver thinner than a pixel may be seen without being hit at a centre; more would be a shifted mask.
        outside = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))) == 0
        assert (image[outside] > 8).mean() < 1e-3, "light off the objects' outline: mask and image disagree"
        assert image[mask].std() > 20, "hardly any texture"
        rotation = scene.w2c(image_id)[:, :3]
        assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-7)
        assert np.linalg.det(rotation) > 0
        assert np.allclose(scene.K(image_id)[:2, 2], 47.5)


def geometry(scene, ids):
    K, w2c = (torch.tensor(np.stack([get(i) for i in ids])) for get in (scene.K, scene.w2c))
    depth = torch.tensor(np.stack([scene.depth(i) for i in ids])).double()
    images = torch.tensor(np.stack([scene.image(i) for i in ids])).double().permute(0, 3, 1, 2)
    return K, w2c, depth, images


def sample(maps, pixels_xy):
    grid = pixels_xy * 2 / (maps.shape[-1] - 1) - 1
    return torch.nn.functional.grid_sample(maps, grid[:, None], align_corners=True)[:, :, 0]


def local_range(maps):
    """Largest less smallest value of each 3×3 neighbourhood."""
    return torch.nn.functional.max_pool2d(maps, 3, 1, 1) + torch.nn.functional.max_pool2d(-maps, 3, 1, 1)


def reprojection(scene, shift=0.0):
    """Points seen in view_07, projected into its 8 nearest views: relative depth error, colour error, which to use.

    Only landings amid one surface are used: inverse depth is linear on a plane, so interpolating it is exact there.
    """
    centres = {i: -scene.w2c(i)[:, :3].T @ scene.w2c(i)[:, 3] for i in scene.image_ids}
    nearest = sorted(scene.image_ids, key=lambda i: np.linalg.norm(centres[i] - centres["view_07"]))[:9]
    K, w2c, depth, images = geometry(scene, nearest)
    K = K + shift * torch.tensor([[0, 0, 1.0], [0, 0, 1.0], [0, 0, 0]]).double()
    seen = depth[0] > 0
    points = back_project(K[:1], w2c[:1], depth[:1])[0][seen]
    landed = project(K[1:], w2c[1:], points, 96, 96)
    inverse = torch.where(depth > 0, 1 / depth.clamp_min(1e-6), 9)[1:, None]
    amid = landed.valid & (sample(local_range(inverse), landed.pixels_xy)[:, 0] < 0.008)
    depth_error = landed.depth * sample(inverse, landed.pixels_xy)[:, 0] - 1
    colour_error = (sample(images[1:], landed.pixels_xy) - images[0][:, seen]).abs().mean(1)
    return depth_error, colour_error, amid


@pytest.mark.parametrize("name", demo_scene_names("test"))
def test_depth_agrees_rigidly_between_views(name):
    error, colour_error, amid = reprojection(open_scene(name))
    visible = amid & (error.abs() < 3e-3)
    # A point seen in one view is on the other view's surface or behind it, never in front.
    assert (error[amid] < -0.01).double().mean() < 0.005
    assert visible.sum() > 0.5 * amid.sum() > 1000
    assert error[visible].abs().median() < 1e-4
    assert colour_error[visible].median() < 25 < colour_error[amid & (error > 0.05)].median()


def test_half_a_pixel_would_be_noticed():
    right, shifted = (reprojection(open_scene("demo/test_02"), shift) for shift in (0.0, 0.5))
    near = [amid & (error.abs() < 0.01) for error, _, amid in (right, shifted)]
    assert right[0][near[0]].abs().median() < 0.1 * shifted[0][near[1]].abs().median()


def test_copying_the_nearest_reference_view_is_clearly_bad():
    scores = []
    for name in demo_scene_names("test"):
        scene = open_scene(name)
        references, queries = scene.split("test")
        centre = {i: -scene.w2c(i)[:, :3].T @ scene.w2c(i)[:, 3] for i in scene.image_ids}
        for query in queries:
            nearest = min(references, key=lambda i: np.linalg.norm(centre[i] - centre[query]))
            difference = (scene.image(nearest) / 255.0 - scene.image(query) / 255.0) ** 2
            scores.append(-10 * np.log10(difference.mean()))
    assert np.mean(scores) < 17
    assert max(scores) < 20


def test_splits():
    scene = open_scene("demo/validation_01")
    for kind in ("validation", "test"):
        references, queries = scene.split(kind)
        assert queries == ["view_02", "view_07", "view_12", "view_17"]
        assert len(references) == 16
        assert not set(references) & set(queries)
    references, queries = scene.split("train")
    assert references == queries == scene.image_ids


def test_stored_depth_is_good_to_one_part_in_ten_thousand():
    depth = np.random.default_rng(0).uniform(2.0, 4.4, (50, 50))
    depth[:5] = 0
    again = decode_depth(encode_depth(depth, (1.98, 4.45)), (1.98, 4.45))
    assert np.array_equal(again > 0, depth > 0)
    assert np.abs(again / np.where(depth > 0, depth, np.inf) - (depth > 0)).max() < 1e-4


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("demo/test_04", "test_0"),
        ("demo/trian_03", "train_03"),
        ("demo", "train_00"),
        ("demo/train_00/black", "train_00"),
    ],
)
def test_unknown_scene_names_the_nearest(name, hint):
    with pytest.raises(DatasetError, match=f"no such demo scene.*{hint}"):
        open_scene(name)


def test_unknown_image_names_the_nearest():
    scene = open_scene("demo/test_00")
    for get in (scene.image, scene.depth, scene.mask, scene.K, scene.w2c, scene.depth_range):
        with pytest.raises(DatasetError, match=r"demo/test_00: no image 'view_20'.*Did you mean 'view_"):
            get("view_20")


@pytest.mark.parametrize("file_name", ["cameras.json", "images.webp", "depths.png"])
def test_missing_or_broken_file_is_named_with_the_remedy(file_name, tmp_path, monkeypatch):
    folder = tmp_path / "test_00"
    folder.mkdir()
    for path in (demo.DATA_FOLDER / "test_00").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(demo, "DATA_FOLDER", tmp_path)
    path = folder / file_name
    path.write_bytes(path.read_bytes()[:40])
    for state in ("cannot be read", "is missing"):
        with pytest.raises(DatasetError, match=f"{re.escape(str(path))} {state}.*[Rr]einstall"):
            [(scene := open_scene("demo/test_00")).image("view_00"), scene.depth("view_00")]
        path.unlink(missing_ok=True)


def test_photographs_come_with_cameras_and_without_depth():
    scene = open_scene("photographs/tankard")
    references, queries = scene.split("test")
    assert (len(references), len(queries)) == (7, 1)
    assert scene.image(queries[0]).shape == (216, 216, 3)
    assert scene.K(queries[0])[0, 2] == 107.75  # 216 of 432, at half the size and the first pixel's centre at (0, 0)
    assert scene.depth(queries[0]) is None
    assert scene.mask(queries[0]).all()
    with pytest.raises(DatasetError, match="photographs/tankard"):
        open_scene("photographs/jug")


def test_photographs_of_a_place_that_is_tested_are_that_place():
    assert place_of("photographs/tankard") == place_of("nerf_llff/tankard/8")
