"""The page on camera files tells the truth: what it calls used, without effect and refused is."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maskrf_core.datasets.captures.transforms import source_from_transforms, transforms_files
from maskrf_core.datasets.captures.transforms_fields import REFUSED, USED, WITHOUT_EFFECT
from maskrf_core.datasets.scene import open_scene
from maskrf_core.support.errors import DatasetError
from tests.datasets.captures.colmap_writer import write_model
from tests.datasets.readers.trees import blended_mvs, capture, dtu_train, nerf_llff, real_estate, spaces
from tests.datasets.readers.trees.capture_model import CAMERA
from tests.datasets.readers.trees.capture_model import build as build_model
from tests.datasets.traced_scene import TracedScene, dome_camera
from tests.pages import text_of

ROWS = {cells[0]: cells[1:] for line in text_of("docs/camera-files.md").splitlines() if line.startswith("| ")
        and (cells := [cell.strip() for cell in line.strip("|").split("|")])}  # fmt: skip


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_the_fields_of_transforms_json_are_those_of_the_code():
    assert names(ROWS["used"][0]) == USED
    assert names(ROWS["without effect"][0]) == WITHOUT_EFFECT
    assert names(ROWS["refused, unless zero, false or empty"][0]) == REFUSED


@pytest.fixture
def transforms(tmp_path: Path) -> Path:
    capture.build_transforms(tmp_path, TracedScene(16, 3))
    return tmp_path / "captures/spheres/transforms.json"


def cameras(transforms: Path, of_frames: bool, **fields: object) -> list:
    content = json.loads(transforms.read_text())
    for level in content["frames"] if of_frames else [content]:
        level |= fields
    changed = transforms.with_name("changed") / "transforms.json"
    changed.parent.mkdir(exist_ok=True)
    if not (changed.parent / "images").exists():
        (changed.parent / "images").symlink_to(transforms.parent / "images")
    changed.write_text(json.dumps(content))
    photographs = source_from_transforms(transforms_files(changed.parent)).photographs
    return [(photo.camera, photo.w2c.tolist()) for photo in photographs]


@pytest.mark.parametrize("of_frames", [False, True])
def test_each_field_of_transforms_json(transforms: Path, of_frames: bool):
    expected = cameras(transforms, of_frames)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in WITHOUT_EFFECT:
            assert cameras(transforms, of_frames, **{name: 0.3}) == expected, name
        for name in REFUSED:
            assert cameras(transforms, of_frames, **{name: 0}) == expected, name
            with pytest.raises(DatasetError, match=rf"\b{name} is"):
                cameras(transforms, of_frames, **{name: 0.3})
    with pytest.warns(UserWarning, match="not known here and passed over: anything"):
        assert cameras(transforms, of_frames, anything=1) == expected


def word(index: int, value: str) -> Callable[[Path], None]:
    """Replace the index-th word of a text file."""

    def change(path: Path) -> None:
        words = re.split(r"(\s+)", path.read_text())
        words[2 * index] = value
        path.write_text("".join(words))

    return change


def array(change: Callable[[np.ndarray], None]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        rows = np.load(path)
        change(rows)
        np.save(path, rows)

    return edit


def matrix(key: str, value: np.ndarray | None = None) -> Callable[[Path], None]:
    """Replace a matrix of cameras.npz, by one moved a little."""

    def edit(path: Path) -> None:
        arrays = dict(np.load(path))
        moved = arrays.get(key, np.eye(4)).copy()
        moved[0, 3] += 0.5
        np.savez(path, **arrays | {key: moved if value is None else value})

    return edit


def field(name: str, value: object) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        content = json.loads(path.read_text())
        content[0][0][name] = value
        path.write_text(json.dumps(content))

    return edit


def text_model(root: Path) -> str:
    """As the tree `capture_model`, written as text."""
    name = build_model(root)
    folder = root / "captures/model/sparse/0"
    for path in folder.iterdir():
        path.unlink()
    views = {f"{view}.jpg": (CAMERA, dome_camera(view, 4)) for view in range(4)}
    write_model(folder, views, np.random.default_rng(0).normal(0, 0.3, (20, 3)), text=True)
    for path in folder.iterdir():  # without comments, so that words can be counted
        path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if not line.startswith("#")))
    return name


TURNED = np.diag([250.0, 250, 250, 1])
TURNED[0, 1] = 40.0
FILES: dict[str, tuple[Callable, str, dict[str, Callable], dict[str, Callable], dict[str, Callable]]] = {
    "COLMAP `cameras`": (
        text_model,
        "cameras.txt",
        {
            "model": word(1, "OPENCV_FISHEYE"),
            "width": word(2, "96"),
            "height": word(3, "72"),
            "parameters": word(5, "60"),
        },
        {},
        {"unknown and spherical models": word(1, "EQUIRECTANGULAR")},
    ),
    "COLMAP `images`": (
        text_model,
        "images.txt",
        {"translation": word(5, "0.4"), "name": word(9, "3.jpg")},
        {"places of points": word(10, "3.5")},
        {"names that leave the folder": word(9, "../0.jpg")},
    ),
    "COLMAP `points3D`": (
        text_model,
        "points3D.txt",
        {"position": word(1, "5.5")},
        {"colour": word(4, "7"), "error": word(7, "3.0"), "track": word(9, "1")},
        {},
    ),
    "`cameras.npz` (DTU)": (
        dtu_train.build,
        "cameras.npz",
        {"`world_mat_0`": matrix("world_mat_0"), "`scale_mat_0`": matrix("scale_mat_0")},
        {
            f"`{name}_0`": matrix(f"{name}_0")
            for name in ("world_mat_inv", "scale_mat_inv", "camera_mat", "camera_mat_inv")
        },
        {"a turned `scale_mat_0`": matrix("scale_mat_0", TURNED)},
    ),
    "`poses_bounds.npy` (LLFF)": (
        nerf_llff.build,
        "poses_bounds.npy",
        {
            "centre": array(lambda of: of[:1].__setitem__((0, 3), 2.0)),
            "bounds": array(lambda of: of[:1].__setitem__((0, 15), 4.0)),
            "focal length": array(lambda of: of.__setitem__((slice(None), 14), 90.0)),
        },
        {},
        {"sizes or focal lengths that differ": array(lambda of: of[:1].__setitem__((0, 14), 90.0))},
    ),
    "`*_cam.txt` (BlendedMVS)": (
        blended_mvs.build,
        "00000000_cam.txt",
        {
            "extrinsic": word(4, "0.7"),
            "intrinsic": word(18, "44"),
            "nearest": word(27, "1.2"),
            "farthest": word(30, "12"),
        },
        {"step": word(28, "0.5"), "count": word(29, "64")},
        {},
    ),
    "`cameras/*.txt` (RealEstate10K)": (
        real_estate.build,
        "0a1b.txt",
        {
            "fx": word(2, "0.6"),
            "fy": word(3, "0.8"),
            "cx": word(4, "0.4"),
            "cy": word(5, "0.6"),
            "pose": word(11, "0.3"),
        },
        {"address in the first line": word(0, "https://example.invalid/other")},
        {"k1": word(6, "0.1"), "k2": word(7, "0.1")},
    ),
    "`models.json` (Spaces)": (
        spaces.build,
        "models.json",
        {
            "`width`": field("width", 80.0),
            "`height`": field("height", 48.0),
            "`focal_length`": field("focal_length", 33.0),
            "`pixel_aspect_ratio`": field("pixel_aspect_ratio", 1.3),
            "`principal_point`": field("principal_point", [18.0, 11.0]),
            "`position`": field("position", [0.1, 0.2, 0.3]),
            "`orientation`": field("orientation", [0.1, 0.2, 0.3]),
        },
        {},
        {"any other field": field("radial_distortion", [0.1])},
    ),
}


def geometry(name: str, root: Path) -> list:
    scene = open_scene(name, root)
    return [
        (image_id, scene.K(image_id).tolist(), scene.w2c(image_id).tolist(), scene.depth_range(image_id))
        for image_id in scene.image_ids
    ]


@pytest.mark.parametrize("row", FILES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_each_field_of_other_files(row: str, tmp_path: Path):
    build, pattern, used, without_effect, refused = FILES[row]
    name = build(tmp_path)
    expected = geometry(name, tmp_path)
    (path,) = tmp_path.rglob(pattern)
    before = path.read_bytes()
    for column, changes in enumerate((used, without_effect, refused)):
        for field_name, change in changes.items():
            assert field_name in ROWS[row][column], field_name
            path.write_bytes(before)
            change(path)
            try:
                found = geometry(name, tmp_path)
            except DatasetError:  # as what is used is, too, where it no longer fits the rest
                assert column != 1, field_name
                continue
            assert (found == expected) == (column == 1), field_name
            assert column < 2, field_name
