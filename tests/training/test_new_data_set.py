"""A made-up data set is one record and one reader, and is trained on, drawn and held out as its record says."""

import cv2
import numpy as np

from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.data_set import DataSet, Frame, NamedScene, NearestViews
from maskrf_core.datasets.files.image_folders import list_images
from maskrf_core.datasets.records import DATA_SETS
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.training.trainer import fit

K = np.array([[40.0, 0, 24], [0, 40, 16], [0, 0, 1]])


def read_rail(asked: NamedScene) -> list[Frame]:
    """Read photographs that a camera took on a rail, whose steps stand in steps.txt."""
    steps, paths = np.loadtxt(asked.folder / "steps.txt"), list_images(asked.folder / "photographs")
    poses = np.eye(4)[:3] + np.array([[[0, 0, 0, -step], [0] * 4, [0] * 4] for step in steps])
    return [
        Frame(path.stem, path, K, w2c, (2, 6), (32, 48), depth=lambda: np.full((32, 48), 3, np.float32))
        for path, w2c in zip(paths, poses, strict=True)
    ]


RAIL = DataSet("rail", "rail/<scene>", "rail/hall", ("on_rails",), read_rail, weight=3.0, held_out=("lab",),
               view_pool=NearestViews(times=(2,), at_most=5), augmentation=("jittered_ranges",))  # fmt: skip


def test_it_is_trained_on(tmp_path, monkeypatch):
    monkeypatch.setitem(DATA_SETS, "rail", RAIL)
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    for number, scene in enumerate(["hall", "lab", "shed"]):
        folder = tmp_path / "data/on_rails" / scene
        (folder / "photographs").mkdir(parents=True)
        np.savetxt(folder / "steps.txt", np.arange(7) * 0.1)
        for view in range(7):
            picture = np.random.default_rng(10 * number + view).integers(0, 256, (32, 48, 3), np.uint8)
            cv2.imwrite(str(folder / f"photographs/{view}.png"), picture)
    asked = {"data.train_scenes": ["rail", "demo/train_00"], "data.data_root": str(tmp_path / "data")}
    config = load_config("pretrain", "demo", asked | {"training.steps": 3})
    mixture = Mixture(config.data, None)
    assert mixture.names == ["rail/hall", "rail/shed", "demo/train_00"]
    assert list(mixture.probabilities) == [0.75, 0.25]
    run = Run.start(tmp_path / "run", config)
    fit(run)
    assert np.isfinite(run.metrics()["total"].dropna()).all()
    assert run.metrics()["step"].max() == 3
