"""A fingerprint changes with the data, and only with the data."""

import numpy as np
import pytest

from maskrf_core.datasets.batches.mixture import fingerprints, scene_fingerprint
from maskrf_core.settings.config import load_config
from maskrf_core.training.preflight import open_checked_scenes
from tests.datasets.memory_scene import MemoryScene, make_scenes, use_folders


def moved(scene, part, change):
    """`scene` whose view_3, of the middle, is another in one respect."""
    before = getattr(scene, part)

    def after(image_id):
        value = np.array(before(image_id))
        return change(value) if image_id == "view_3" else value

    setattr(scene, part, after)
    return scene


def test_it_is_the_same_each_time_and_reads_three_images():
    scene = MemoryScene(count=7)
    assert scene_fingerprint(scene) == scene_fingerprint(MemoryScene(count=7))
    assert scene.reads == ["view_0", "view_3", "view_6"]


@pytest.mark.parametrize(
    "other",
    [
        MemoryScene(count=6),
        MemoryScene(count=7, name="other"),
        MemoryScene(count=7, height=33),
        moved(MemoryScene(count=7), "K", lambda K: K + 1e-9),
        moved(MemoryScene(count=7), "w2c", lambda w2c: -w2c),
        moved(MemoryScene(count=7), "depth_range", lambda pair: pair * 2),
        moved(MemoryScene(count=7), "image", lambda image: image ^ 1),
    ],
)
def test_what_differs_has_another(other):
    assert scene_fingerprint(other) != scene_fingerprint(MemoryScene(count=7))


def test_a_scene_of_one_view_has_one():
    assert scene_fingerprint(MemoryScene(count=1)) != scene_fingerprint(MemoryScene(count=2))


def mixture_of(data_root, *train_scenes):
    overrides = {"data.train_scenes": list(train_scenes), "data.data_root": str(data_root), "data.working_views": 3}
    return open_checked_scenes(load_config("pretrain", "demo", overrides))


def changed(before, after):
    return [name for name in after if before[name] != after[name]]


def test_whole_data_sets_are_known_by_their_names_and_first_scene(tmp_path, monkeypatch):
    use_folders(monkeypatch)
    make_scenes(tmp_path, "gso/cup", "gso/mug", "space/hall")
    before = fingerprints(*mixture_of(tmp_path, "gso", "space/hall"))
    validated = load_config("pretrain", "demo").data.validation_scenes
    assert validated == ["demo/validation"]
    assert {"gso", "space/hall"} < before.keys()
    assert any(name.startswith("demo/validation") for name in before)
    assert changed(before, fingerprints(*mixture_of(tmp_path, "gso", "space/hall"))) == []

    make_scenes(tmp_path, "gso/pot")
    assert changed(before, fingerprints(*mixture_of(tmp_path, "gso", "space/hall"))) == ["gso"]
    (tmp_path / "gso/pot/views").unlink()
    (tmp_path / "gso/pot").rmdir()
    (tmp_path / "gso/cup/views").write_text("7")
    assert changed(before, fingerprints(*mixture_of(tmp_path, "gso", "space/hall"))) == ["gso"]
