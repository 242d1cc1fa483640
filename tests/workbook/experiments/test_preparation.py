"""Data of notebook 01: unpacked and prepared only where asked to, and checked against hand-made numbers."""

import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from maskrf_core.datasets.scene import open_scene
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import DatasetError
from maskrf_core.workbook.experiments import preparation
from tests.datasets.archives.archive_files import tree, write_zip
from tests.datasets.memory_scene import MemoryScene
from tests.datasets.rig_scene import rig


def test_archives_are_only_unpacked_when_asked_to(tmp_path):
    write_zip(tmp_path / "lego.zip", {"nerf_synthetic/lego/transforms_train.json": b"{}", "README": b""})
    write_zip(tmp_path / "odd.zip", {"a": b""})
    before = tree(tmp_path)
    table = preparation.found_archives(tmp_path, unpack_them=False)
    assert table["belongs in"].tolist() == ["nerf_synthetic/", ""]
    assert tree(tmp_path) == before
    table = preparation.found_archives(tmp_path, unpack_them=True)
    assert table.loc["lego.zip", "state"] == "1 files unpacked, 0 were there, 1 left out"
    assert table.loc["odd.zip", "state"].startswith("odd.zip: looks like none of the known data sets")
    listing = tmp_path / "nerf_synthetic/lego/transforms_train.json"
    listing.write_bytes(b"mine")
    state = preparation.found_archives(tmp_path, unpack_them=True).loc["lego.zip", "state"]
    assert state.startswith("nerf_synthetic/lego/transforms_train.json: is there already and differs")
    assert listing.read_bytes() == b"mine"


def test_captures_are_prepared_before_they_are_opened(tmp_path, monkeypatch):
    calls = []
    module = SimpleNamespace(prepare_capture=lambda name, root: calls.append((name, root)))
    monkeypatch.setitem(sys.modules, "maskrf_core.datasets.captures.capture_preparation", module)
    monkeypatch.setattr(preparation, "open_scene", lambda name, root: calls.append(name) or MemoryScene())
    preparation.opened("capture/fox/raw", tmp_path)
    preparation.opened("demo/train_00", tmp_path)
    assert calls == [("capture/fox/raw", tmp_path), "capture/fox/raw", "demo/train_00"]


def test_depth_is_prepared_for_training_views_and_faults_stop_nothing(tmp_path):
    def estimate(scene, image_ids, *, cache_root, device):
        assert cache_root == tmp_path / "cache"
        if scene.name == "demo/test_01":
            raise DatasetError(f"{tmp_path}/file: is broken")
        assert list(image_ids) == open_scene(scene.name).split("train")[0]
        return {image_id: np.array([[1, 0], [0, 0]], np.float32) for image_id in image_ids}

    table = preparation.prepare_depths(["demo/test"], tmp_path, estimate=estimate)
    assert table.loc["demo/test_00", ["views", "known [%]", "fault"]].tolist() == [20, 25.0, ""]
    assert table.loc["demo/test_01", "fault"] == "file: is broken"
    assert len(table) == 4
    assert len(preparation.prepare_depths([], tmp_path)) == 0
    with pytest.raises(DatasetError, match="unknown data set"):
        preparation.prepare_depths(["dmo"], tmp_path)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_as_few_views_as_may_be_asked_for_confirm_each_other(tmp_path, count):
    scene = open_scene("demo/train_04")
    references, _ = scene.split("test")
    chosen = preparation.matching_views(scene, references, count)
    assert len(chosen) == count
    assert chosen == [name for name in references if name in chosen]
    maps = dict(preparation.estimates(scene, chosen, tmp_path, device="cpu"))
    truths, masks = ({name: read(name) for name in chosen} for read in (scene.depth, scene.mask))
    quality = preparation.depth_quality(maps, truths, masks)
    assert quality.kept > 0.5
    assert quality.median_error < 0.01


def test_all_views_are_chosen_where_no_fewer_are_asked_for():
    scene = open_scene("demo/train_04")
    references, _ = scene.split("test")
    for count in (None, len(references), 1000):
        assert preparation.matching_views(scene, references, count) == references


def test_views_from_one_place_do_not_confirm_each_other(monkeypatch):
    """Of them no depth could be measured: here the first three, of six on an arc of 8 degrees a step."""
    scene = MemoryScene(count=6)
    angles = dict(zip(scene.image_ids, np.radians([0, 0, 0, 8, 16, 24]), strict=True))

    def w2c(name):
        c, s = np.cos(angles[name]), np.sin(angles[name])
        return np.array([[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 4]])

    monkeypatch.setattr(scene, "w2c", w2c)
    monkeypatch.setattr(scene, "depth_range", lambda _: (3.0, 6.0))
    one, other = preparation.matching_views(scene, scene.image_ids, 2)
    assert angles[one] != angles[other]


def test_depth_quality_counts_what_is_known():
    truth = np.array([[2.0, 4.0], [5.0, 0.0]], np.float32)
    estimate = np.array([[2.2, 0.0], [5.0, 0.0]], np.float32)
    quality = preparation.depth_quality({"a": estimate}, {"a": truth}, {"a": truth > 0})
    assert quality.median_error == pytest.approx(0.05)  # of 10 % and 0 %
    assert quality.kept == pytest.approx(2 / 3)
    assert str(quality) == "66.7% of the foreground kept, median error 5.00% of the depth"


def test_depth_quality_without_truth_is_not_a_number():
    mask = np.ones((2, 2), bool)
    quality = preparation.depth_quality({"a": np.ones((2, 2), np.float32)}, {}, {"a": mask})
    assert np.isnan(quality.median_error)
    assert str(quality) == "100.0% of the foreground kept, the truth is not known"


def test_a_view_carried_into_itself_stays_as_it_is():
    scene = open_scene("demo/train_00")
    name = scene.image_ids[0]
    carried = preparation.carry_colours(scene, name, name, {name: scene.depth(name)})
    mask = scene.mask(name)
    assert carried.visible.sum() == mask.sum()
    np.testing.assert_allclose(carried.colours[mask], scene.image(name)[mask] / 255, atol=2e-3)


def test_colours_fit_through_true_cameras_and_not_through_wrong_ones():
    scene = open_scene("demo/train_00")
    here = scene.image_ids[0]
    there = preparation.nearest_views(scene, here, scene.image_ids)[0]
    assert there != here
    depths = {name: scene.depth(name) for name in (here, there)}
    carried = preparation.carry_colours(scene, here, there, depths)
    through, unmoved = preparation.colour_differences(scene, here, there, carried)
    assert through < 0.5 * unmoved
    wrong = {here: np.where(depths[here] > 0, depths[here].max() + 0.5, 0).astype(np.float32), there: depths[there]}
    seen = preparation.carry_colours(scene, here, there, wrong).visible.sum()
    assert seen < 0.2 * carried.visible.sum()


@pytest.mark.parametrize("name", ["capture/hall/raw", "example/hall/raw"])
def test_the_views_chosen_for_a_query_are_told_with_their_rule(name):
    scene = rig(name=name)
    for asked in (None, "nearest", "nearest_looking"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            chosen = preparation.chosen_views(scene, DataSettings(working_views=5, view_choice=asked))
        looking = (asked or {"capture": "nearest_looking"}.get(name.split("/")[0])) == "nearest_looking"
        assert chosen.rule == ("nearest_looking" if looking else "nearest")
        assert (chosen.query, len(chosen.references)) == ("view_0", 5)
        np.testing.assert_allclose(chosen.angles, scene.degrees("view_0", chosen.references), atol=1e-4)
        assert looking == bool((chosen.angles < 89).all()) == bool((chosen.shares > 0).all()) == (not caught)
        assert all(part in str(chosen) for part in ("view_0", chosen.rule, *chosen.references))


def test_stacked_cameras_and_sheet():
    scene = open_scene("demo/test_00")
    stacked = preparation.stacked_cameras(scene, scene.image_ids[:3])
    np.testing.assert_array_equal(stacked.w2c[2], scene.w2c(scene.image_ids[2]))
    assert stacked.size == scene.image(scene.image_ids[0]).shape[:2]
    sheet = preparation.first_photographs(["demo/validation"])
    assert list(sheet) == ["demo/validation_00", "demo/validation_01"]
