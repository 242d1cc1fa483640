"""Archives as they are handed out, and the folder that each belongs in."""

import pytest

from maskrf_core.datasets.archives.archive_plans import find_archives, plan_unpacking
from maskrf_core.datasets.archives.unpacking import unpack
from tests.datasets.archives.archive_files import tree, write_archive, write_zip

CASES = {
    "google_scanned_objects_renderings.zip": ("google_scanned_objects/Car/rgb/000.png", "google_scanned_objects"),
    "spaces_dataset-master.zip": ("spaces_dataset-master/data/800/scene_000/models.json", "spaces_dataset"),
    "nerf_llff_data.zip": ("nerf_llff_data/fern/poses_bounds.npy", "nerf_llff_data"),
    "iconic.tar": ("x/real_iconic_noface/garden/poses_bounds.npy", "real_iconic_noface"),
    "DTU.tar.gz": ("DTU/scan65/image/000000.png", "dtu_test"),
    "depth.zip": ("colmap_forward_cache/space/scene_000/dense_out/a.geometric.bin", "colmap_forward_cache"),
    "low.zip": ("BlendedMVS/5bf1/cams/00000000_cam.txt", "blended-mvs"),
    "cameras_200.zip": ("train/cameras/0a1b.txt", "real_estate_dataset"),
    "objects.zip": ("Car/intrinsics/000.txt", "google_scanned_objects"),
    "renders.zip": ("some/where/lego/transforms_train.json", "nerf_synthetic"),
    "lego.tar.gz": ("transforms_train.json", "nerf_synthetic/lego"),
    "...zip": ("transforms_train.json", "nerf_synthetic/scene"),
    "scans.zip": ("scan1/cameras.npz", "dtu_train"),
}


@pytest.mark.parametrize("name", CASES)
def test_where_an_archive_belongs(tmp_path, name):
    member, folder = CASES[name]
    (tmp_path / "downloads").mkdir()
    archive = write_archive(tmp_path / "downloads" / name, {member: b"x", "__MACOSX/._y": b""})
    assert find_archives(tmp_path) == [archive]
    plan = plan_unpacking(archive, tmp_path)
    assert plan.fault is None
    assert plan.destination == tmp_path / folder
    assert plan.data_set == folder.split("/")[0]
    unpack(archive, plan.destination, strip=plan.strip)
    below = member.removeprefix(plan.strip).lstrip("/")
    assert tree(tmp_path / folder) == {below: b"x"}


def test_test_scans_of_dtu_have_masks(tmp_path):
    files = {"scan65/cameras.npz": b"", "scan65/image/0.png": b"", "scan65/mask/0.png": b""}
    assert plan_unpacking(write_zip(tmp_path / "a.zip", files), tmp_path).destination == tmp_path / "dtu_test"


def test_what_is_unknown_or_damaged_says_so(tmp_path):
    unknown = plan_unpacking(write_zip(tmp_path / "a.zip", {"holiday.jpg": b""}), tmp_path)
    assert unknown.destination is None
    assert unknown.fault == "a.zip: looks like none of the known data sets. Unpack it by hand to where it belongs."
    (tmp_path / "b.zip").write_bytes(b"<html>")
    assert "damaged" in plan_unpacking(tmp_path / "b.zip", tmp_path).fault
    evil = plan_unpacking(write_zip(tmp_path / "c.zip", {"nerf_synthetic/../../x": b""}), tmp_path)
    assert "leads out" in evil.fault


def test_nothing_is_found_where_nothing_is(tmp_path):
    assert find_archives(tmp_path / "absent") == []
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.zip").mkdir()
    assert find_archives(tmp_path) == []
