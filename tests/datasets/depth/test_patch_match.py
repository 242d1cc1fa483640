"""The workspace for COLMAP's patch-match, read again with pycolmap; the matching, which needs CUDA, is stood in for."""

import numpy as np
import pycolmap
import pytest

from maskrf_core.datasets.depth.depth_estimation import patch_match_depth_maps, patch_match_is_possible, write_workspace
from maskrf_core.datasets.depth.depth_passes import DepthSettings
from maskrf_core.datasets.files.image_files import read_image
from maskrf_core.support.errors import DatasetError
from tests.datasets.depth.colmap_depth_writer import write_colmap_depth
from tests.datasets.traced_scene import TracedScene


@pytest.fixture(scope="module")
def scene() -> TracedScene:
    return TracedScene(size=32, views=5)


def test_cameras_and_images_as_colmap_reads_them(scene, tmp_path):
    """A point's pixel by COLMAP's own projection is ours plus (0.5, 0.5)."""
    write_workspace(tmp_path, scene, scene.image_ids, DepthSettings())
    model = pycolmap.Reconstruction(str(tmp_path / "sparse"))
    assert model.num_reg_images() == 5
    by_name = {image.name: image for image in model.images.values()}
    point = np.array([0.3, -0.2, 0.4])
    for index, image_id in enumerate(scene.image_ids):
        image = by_name[f"{index:05d}.png"]
        at = scene.K(image_id) @ (scene.w2c(image_id) @ [*point, 1])
        np.testing.assert_allclose(image.project_point(point), at[:2] / at[2] + 0.5, atol=1e-4)
        np.testing.assert_array_equal(read_image(tmp_path / "images" / image.name), scene.image(image_id))


def test_every_view_is_matched_with_others(scene, tmp_path):
    write_workspace(tmp_path, scene, scene.image_ids, DepthSettings(asked_views=2))
    lines = (tmp_path / "stereo" / "patch-match.cfg").read_text().splitlines()
    names = [f"{index:05d}.png" for index in range(5)]
    assert set(lines[::2]) <= set(names)
    assert len(lines) >= 8
    for name, sources in zip(lines[::2], lines[1::2], strict=True):
        chosen = sources.split(", ")
        assert 1 <= len(chosen) <= 2
        assert set(chosen) <= set(names) - {name}


def test_maps_come_back_by_view_without_background(scene, monkeypatch):
    seen = []

    def patch_match_stereo(workspace, *, options):
        seen.append((options.depth_min, options.depth_max))
        for index in range(5):
            path = f"{workspace}/stereo/depth_maps/{index:05d}.png.geometric.bin"
            write_colmap_depth(path, np.full((32, 32), index + 2, np.float32))

    monkeypatch.setattr(pycolmap, "patch_match_stereo", patch_match_stereo)
    maps = patch_match_depth_maps(scene, scene.image_ids, wanted=scene.image_ids[1:3], settings=DepthSettings())
    assert list(maps) == scene.image_ids[1:3]
    np.testing.assert_array_equal(maps["view-2"], np.where(scene.mask("view-2"), 4, 0))
    assert seen == [pytest.approx(scene.depth_range("view-0"))]
    monkeypatch.setattr(pycolmap, "patch_match_stereo", lambda *_, **__: None)
    with pytest.raises(DatasetError, match="no depth map for view view-0"):
        patch_match_depth_maps(scene, scene.image_ids, settings=DepthSettings())


def test_one_view_is_too_few(scene):
    with pytest.raises(DatasetError, match="from 1 view"):
        patch_match_depth_maps(scene, scene.image_ids[:1], settings=DepthSettings())


@pytest.mark.parametrize(("built", "sees", "device", "possible"), [
    (False, True, "cuda", False), (True, False, "auto", False), (True, True, "auto", True), (True, True, "cpu", False),
])  # fmt: skip
def test_where_it_can_run(monkeypatch, built, sees, device, possible):
    monkeypatch.setattr(pycolmap, "has_cuda", built)
    monkeypatch.setattr("torch.cuda.is_available", lambda: sees)
    assert patch_match_is_possible(device) == possible
