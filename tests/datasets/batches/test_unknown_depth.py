"""Scenes without depth, of data sets that are named as a whole: passed over, never estimated when they are drawn."""

import os

import numpy as np
import pytest

from maskrf_core.datasets.batches.batch import FROM_DEPTHS, ModelInputs
from maskrf_core.datasets.batches.loader import training_batches
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.depth import depth_maps as module
from maskrf_core.datasets.depth.depth_maps import depth_maps
from maskrf_core.datasets.scene import open_scene
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import DatasetError
from tests.datasets.memory_scene import make_scenes, use_folders

BARE = [f"space/bare_{number}" for number in range(3)]


@pytest.fixture
def data_root(tmp_path, monkeypatch):
    """Three scenes without depth beside two with it; an estimation fails unless it is called for."""
    use_folders(monkeypatch)
    make_scenes(tmp_path, "space/hall", "space/park", *BARE)
    for name in BARE:
        (tmp_path / name / "no_depth").touch()
    monkeypatch.setattr(module, "estimate_depth_maps", None)
    return tmp_path


def mixture(data_root, *, inputs=FROM_DEPTHS):
    settings = DataSettings(working_views=3, rays=4, data_root=str(data_root), train_scenes=["space"])
    return Mixture(settings, data_root / "cache", inputs=inputs)


def drawn_names(mixture, times=100, workers=0):
    batches = training_batches(mixture, seed=(0,), first_step=0, steps=times, workers=workers)
    return [draw.origin.split(",")[0].removeprefix("scene ") for draw in batches]


def keep_depth(data_root, monkeypatch, *names):
    """Keep made-up estimates, as notebook 01 does with real ones."""

    def made_up(scene, image_ids, **_):
        return ((image_id, np.full((32, 48), 3, np.float32)) for image_id in image_ids)

    with monkeypatch.context() as patch:
        patch.setattr(module, "estimate_depth_maps", made_up)
        for name in names:
            scene = open_scene(name, data_root)
            depth_maps(scene, scene.split("train")[0], cache_root=data_root / "cache", device="cpu")


def test_scenes_without_depth_are_passed_over_with_a_line_each(data_root, capsys):
    drawn = mixture(data_root)
    assert drawn.first_scenes()[0].scene.name == "space/hall"
    assert set(drawn_names(drawn, 100)) == {"space/hall", "space/park"}
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in sorted(lines)] == [f"space/bare_{number}" for number in range(3)]
    assert all("prepare_depth" in line for line in lines)


def test_scenes_with_kept_depth_are_drawn(data_root, monkeypatch, capsys):
    keep_depth(data_root, monkeypatch, "space/bare_1")
    drawn = mixture(data_root)
    assert set(drawn_names(drawn, 100)) == {"space/hall", "space/park", "space/bare_1"}
    assert "bare_1" not in capsys.readouterr().out


def test_estimates_kept_meanwhile_change_nothing(data_root, monkeypatch):
    """The time of the files says when: else what is drawn would depend on which worker opens a scene when."""
    drawn = mixture(data_root)
    keep_depth(data_root, monkeypatch, *BARE)
    for path in data_root.glob("cache/depth/*/*.npy"):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 60))
    assert set(drawn_names(drawn)) == {"space/hall", "space/park"}


def test_workers_draw_alike_and_one_of_them_says_what_is_passed_over(data_root, monkeypatch, capfd):
    keep_depth(data_root, monkeypatch, BARE[0])
    expected = drawn_names(mixture(data_root))
    capfd.readouterr()
    assert drawn_names(mixture(data_root), workers=2) == expected
    lines = capfd.readouterr().out.splitlines()
    assert sorted(line.split(":")[0] for line in lines) == BARE[1:]


def test_no_depth_at_all_stops_the_training(data_root):
    for name in ("hall", "park"):
        (data_root / f"space/{name}/no_depth").touch()
    drawn = mixture(data_root)
    with pytest.raises(DatasetError, match=r"space: none of its 5 scenes .*prepare_depth"):
        drawn.first_scenes()
    with pytest.raises(DatasetError, match=r"space: none of its 5 scenes"):
        drawn_names(drawn, 100)
    without = mixture(data_root, inputs=ModelInputs(depths=False, sources=True))
    assert len(set(drawn_names(without, 100))) == 5


def test_one_scene_with_depth_among_hundreds_is_found(data_root):
    make_scenes(data_root, *(f"space/other_{number}" for number in range(300)))
    for folder in (data_root / "space").iterdir():
        (folder / "no_depth").touch()
    (data_root / "space/park/no_depth").unlink()
    drawn = mixture(data_root)
    assert drawn.first_scenes()[0].scene.name == "space/park"
    assert set(drawn_names(drawn, 5)) == {"space/park"}
