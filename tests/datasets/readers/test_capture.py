import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
from PIL import Image

from maskrf_core.datasets.captures import capture_preparation
from maskrf_core.datasets.captures.capture_preparation import prepare_capture
from maskrf_core.datasets.captures.capture_sources import fingerprint
from maskrf_core.datasets.captures.colmap_models import read_colmap_model
from maskrf_core.datasets.scene import Scene, open_scene, scene_names
from maskrf_core.support.errors import DatasetError, NotPreparedError
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.readers.tree_parts import write_picture
from tests.datasets.readers.trees import capture_model
from tests.datasets.readers.trees.capture import build_transforms
from tests.datasets.traced_scene import TracedScene, dome_camera
from tests.other_users import of_another_user


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def centres(scene: Scene) -> np.ndarray:
    return np.stack([-scene.w2c(image_id)[:, :3].T @ scene.w2c(image_id)[:, 3] for image_id in scene.image_ids])


def test_transforms_without_distortion_give_back_images_and_cameras(tmp_path: Path):
    traced = TracedScene(64, 6)
    name = build_transforms(tmp_path, traced)
    before = everything_in(tmp_path)
    scene = open_scene(name, tmp_path)
    assert scene.image_ids == traced.image_ids
    for image_id in scene.image_ids:
        np.testing.assert_array_equal(scene.image(image_id), traced.image(image_id))
        np.testing.assert_allclose(scene.K(image_id), traced.K(image_id))
        np.testing.assert_allclose(scene.w2c(image_id), traced.w2c(image_id), atol=1e-9)
        near, far = scene.depth_range(image_id)
        truth = traced.truth(image_id)[traced.mask(image_id)]
        assert near < np.percentile(truth, 5)
        assert far > np.percentile(truth, 95)
        assert scene.mask(image_id).all()
        assert scene.depth(image_id) is None
    assert scene.split("test") == (scene.image_ids[1:], scene.image_ids[:1])
    assert scene.split("train") == (scene.image_ids[1:],) * 2
    after = everything_in(tmp_path)
    assert {path: data for path, data in after.items() if not path.startswith("cache/")} == before


def test_a_second_user_reads_what_the_first_prepared_and_prepares_more(tmp_path: Path):
    name = build_transforms(tmp_path, TracedScene(64, 4))
    first = prepare_capture(name, tmp_path)
    with of_another_user(tmp_path / "cache", tmp_path / "own") as own:
        assert prepare_capture(name, tmp_path) == first
        smaller = prepare_capture("capture/spheres/32", tmp_path)
        assert smaller.is_relative_to(own)
        assert prepare_capture("capture/spheres/32", tmp_path) == smaller


def test_size_is_the_longer_side_with_pixel_centres_kept(tmp_path: Path):
    traced = TracedScene(64, 4)
    build_transforms(tmp_path, traced)
    scene = open_scene("capture/spheres/32", tmp_path)
    assert scene.image("view-0").shape == (32, 32, 3)
    K = traced.K("view-0")
    np.testing.assert_allclose(scene.K("view-0")[:2, 2], (K[:2, 2] + 0.5) / 2 - 0.5)
    average = traced.image("view-0").reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert np.abs(scene.image("view-0") - average).mean() < 6
    with pytest.raises(DatasetError, match=r"has 64 and images are never enlarged. Open capture/spheres/raw"):
        open_scene("capture/spheres/65", tmp_path)


def test_prepared_once_made_again_after_a_change_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    name = capture_model.build(tmp_path)
    first = prepare_capture(name, tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    assert prepare_capture(name, tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == stamps

    cv2.imwrite(str(tmp_path / "captures/model/images/3.jpg"), np.zeros((36, 48, 3), np.uint8))
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return arguments[0]

    with monkeypatch.context() as patch:
        patch.setattr(capture_preparation, "undistort", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare_capture(name, tmp_path)
    assert list(first.parent.iterdir()) == [first]
    scene = open_scene(name, tmp_path)
    assert not scene.image("3").any()
    again = prepare_capture(name, tmp_path)
    assert again != first
    (again / "00003.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"delete .* and open capture/model/raw again"):
        scene.image("3")


@pytest.mark.parametrize(
    "change",
    [
        lambda views: views.clear(),
        lambda views: views[0].update(id=views[1]["id"]),
        lambda views: views[0].update(K=np.zeros((3, 3)).tolist()),
        lambda views: views[0].update(K=[[1]]),
        lambda views: views[0].update(file="../x.png"),
        lambda views: views[0].pop("w2c"),
    ],
)
def test_prepared_cameras_that_were_damaged(tmp_path: Path, change):
    name = capture_model.build(tmp_path)
    listing = prepare_capture(name, tmp_path) / "cameras.json"
    content = json.loads(listing.read_text())
    change(content["views"])
    listing.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"cameras\.json: damaged .* Delete .* and open the capture again"):
        open_scene(name, tmp_path)


def test_a_model_s_points_give_the_depth_ranges(tmp_path: Path):
    scene = open_scene(capture_model.build(tmp_path), tmp_path)
    points = read_colmap_model(tmp_path / "captures/model/sparse/0").points
    for image_id in scene.image_ids:
        depths = points @ scene.w2c(image_id)[2, :3] + scene.w2c(image_id)[2, 3]
        expected = np.percentile(depths, [2, 98]) * [0.8, 1.2]
        np.testing.assert_allclose(scene.depth_range(image_id), expected, rtol=1e-9)
    assert scene_names("capture", tmp_path) == ["capture/model/raw"]


@pytest.mark.parametrize("suffix", [".bin", ".txt"])
def test_half_a_model_is_not_taken_for_photographs_alone(tmp_path: Path, suffix: str):
    name = capture_model.build(tmp_path)
    (tmp_path / "captures/model/sparse/0/points3D.bin").rename(tmp_path / f"captures/model/sparse/0/moved{suffix}")
    with pytest.raises(DatasetError, match="holds no COLMAP model"):
        open_scene(name, tmp_path)


def test_photographs_alone_say_how_to_find_their_cameras(tmp_path: Path):
    name = capture_model.build(tmp_path)
    shutil.rmtree(tmp_path / "captures/model/sparse")
    with pytest.raises(DatasetError, match=r'takes minutes: prepare_capture\("capture/model/raw", data_root\)'):
        open_scene(name, tmp_path)
    shutil.rmtree(tmp_path / "captures/model/images")
    with pytest.raises(DatasetError, match=r"neither transforms\.json, nor a COLMAP model .*, nor photographs"):
        open_scene(name, tmp_path)


def test_cameras_that_an_earlier_version_found_are_used(tmp_path: Path):
    """Finding them takes minutes; their folder is called as it was when prepared photographs had no masks yet."""
    name, capture = capture_model.build(tmp_path), tmp_path / "captures/model"
    shutil.rmtree(capture / "sparse")
    photographs = [capture / f"images/{view}.jpg" for view in range(4)]
    views = {f"48x36/{view:05}.jpg": (capture_model.CAMERA, dome_camera(view, 4)) for view in range(4)}
    kept = tmp_path / f"cache/captures/model/cameras_{fingerprint(photographs, 1)}"
    write_model(kept, views, np.random.default_rng(0).normal(0, 0.3, (20, 3)))
    assert open_scene(name, tmp_path).image_ids == ["0", "1", "2", "3"]


@pytest.fixture(scope="module")
def fox(shared: Path, tmp_path_factory) -> Path:
    """Every other photograph of the fox, halved so that it takes seconds: alone, with transforms.json (which is for
    the full size), and later with the model that was found."""
    root = tmp_path_factory.mktemp("fox")
    source = shared / "scenes/captures/fox"
    for name in ("alone", "transforms", "model"):
        (root / f"captures/{name}/images").mkdir(parents=True)
        for path in sorted((source / "images").iterdir())[::2]:
            half = cv2.resize(cv2.imread(str(path)), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(root / f"captures/{name}/images/{path.name}"), half, [cv2.IMWRITE_JPEG_QUALITY, 97])
    shutil.copyfile(source / "transforms.json", root / "captures/transforms/transforms.json")
    return root


@pytest.mark.long
def test_real_fox_all_three_ways(fox: Path):
    """Cameras found by structure from motion agree with transforms.json, up to a similarity, to 1 % of its extent."""
    with pytest.warns(UserWarning, match="42 of 67 listed photographs are missing and left out: images/0002.jpg"):
        published = open_scene("capture/transforms/raw", fox)
    prepare_capture("capture/alone/raw", fox)
    found = open_scene("capture/alone/raw", fox)
    assert found.image_ids == published.image_ids
    similarity = np.array(pycolmap.estimate_sim3d(centres(found), centres(published)).matrix())
    scale = np.cbrt(np.linalg.det(similarity[:, :3]))
    aligned = centres(found) @ similarity[:, :3].T + similarity[:, 3]
    extent = np.linalg.norm(np.ptp(centres(published), axis=0))
    assert np.sqrt(((aligned - centres(published)) ** 2).sum(1).mean()) < 0.01 * extent
    rotation = similarity[:, :3] / scale
    for image_id in found.image_ids:
        difference = found.w2c(image_id)[:, :3] @ rotation.T @ published.w2c(image_id)[:, :3].T
        assert np.rad2deg(np.arccos(min((np.trace(difference) - 1) / 2, 1))) < 1
        assert found.K(image_id)[0, 0] == pytest.approx(published.K(image_id)[0, 0], rel=0.02)
    # Ranges from a plane sweep over transforms.json's cameras are those of COLMAP's points.
    ranges = [[scene.depth_range(image_id) for image_id in found.image_ids] for scene in (published, found)]
    ratio = np.median(np.array(ranges[0]) / np.array(ranges[1]) / scale, axis=0)
    np.testing.assert_allclose(ratio, 1, atol=0.15)

    model = pycolmap.Reconstruction(next((fox / "cache/captures/alone").glob("cameras_*")))
    for image in model.images.values():
        image.name = f"{found.image_ids[int(Path(image.name).stem)]}.jpg"
    (fox / "captures/model/sparse").mkdir()
    model.write_text(fox / "captures/model/sparse")
    again = open_scene("capture/model/raw", fox)
    assert again.image_ids == found.image_ids
    np.testing.assert_allclose(centres(again), centres(found), atol=1e-6)
    np.testing.assert_array_equal(again.image("0001"), found.image("0001"))
    assert scene_names("capture", fox) == ["capture/alone/raw", "capture/model/raw", "capture/transforms/raw"]


def test_photographs_of_unequal_size_and_strange_names(tmp_path: Path):
    """One of them is larger and turned by its orientation tag; another's name is not UTF-8."""
    traced = TracedScene(48, 4)
    name = build_transforms(tmp_path, traced)
    folder = tmp_path / "captures/spheres"
    content = json.loads((folder / "transforms.json").read_text())
    strange = os.fsdecode(b"images/\xff.png")
    (folder / content["frames"][1]["file_path"]).rename(folder / strange)
    content["frames"][1]["file_path"] = strange
    wide = np.pad(traced.image("view-3"), ((0, 0), (8, 8), (0, 0)), mode="edge")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(wide))).save(folder / "images/view-3.png", exif=exif)
    content["frames"][3] |= {"w": 64, "cx": content["cx"] + 8}
    (folder / "transforms.json").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="1 photographs are not 48×48 as the others"):
        scene = open_scene(name, tmp_path)
    assert scene.image_ids == ["view-0", "view-2", "view-3", "\\udcff"]  # which can be drawn and recorded
    np.testing.assert_array_equal(scene.image(scene.image_ids[3]), traced.image("view-1"))
    np.testing.assert_allclose(scene.K("view-3"), traced.K("view-3"))
    np.testing.assert_array_equal(scene.image("view-3"), traced.image("view-3"))


def test_photographs_in_other_formats_are_named(tmp_path: Path):
    folder = tmp_path / "captures/shelf/images"
    for number in range(3):
        write_picture(folder / f"{number}.jpg", 24, 32)
    (folder / "IMG_1.HEIC").write_bytes(b"x")
    with (
        pytest.warns(UserWarning, match=r"1 files are neither PNG nor JPEG .*IMG_1\.HEIC\. Convert"),
        pytest.raises(NotPreparedError, match="cameras are not known yet"),
    ):
        open_scene("capture/shelf/raw", tmp_path)
