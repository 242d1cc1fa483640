"""A scene made up in memory: cameras on a line, noise for images, everything known."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from maskrf_core.datasets.data_set import EveryNth, Frame, NamedScene
from maskrf_core.datasets.records import DATA_SETS
from maskrf_core.support.errors import DatasetError


class MemoryScene:
    """`count` views of height × width from x = 0, 1, 2, …, all looking along z."""

    def __init__(self, count: int = 6, height: int = 32, width: int = 48, name: str = "memory"):
        self.name = name
        self.image_ids = [f"view_{index}" for index in range(count)]
        self.shape = (height, width)
        self.reads = []
        self.foreground = np.ones(self.shape, bool)

    def image(self, image_id):
        self.reads.append(image_id)
        generator = np.random.default_rng(self.image_ids.index(image_id))
        return generator.integers(0, 256, (*self.shape, 3), dtype=np.uint8)

    def K(self, image_id):
        height, width = self.shape
        return np.array([[40.0, 0, width / 2], [0, 40, height / 2], [0, 0, 1]])

    def w2c(self, image_id):
        return np.concatenate([np.eye(3), [[-float(self.image_ids.index(image_id))], [0], [0]]], axis=1)

    def depth_range(self, image_id):
        index = self.image_ids.index(image_id)
        return 2.0, 4.0 + index

    def mask(self, image_id):
        return self.foreground

    def depth(self, image_id):
        return np.full(self.shape, 3.0, np.float32)

    def has_depth(self, image_id):
        return self.depth(image_id) is not None

    def stamp(self):
        return None

    def split(self, kind):
        if kind == "train":
            return self.image_ids, self.image_ids
        return self.image_ids[1:], self.image_ids[:1]


def read_folder(asked: NamedScene) -> list[Frame]:
    """Read a scene of any data set: a folder `<data set>/<scene>` below the data root, which may hold a file `views`
    (how many), `broken` or `no_depth`. Its images are in memory."""
    if (asked.folder / "broken").is_file():
        raise DatasetError(f"{asked.folder}: missing or broken. Unpack it again.")
    views = asked.folder / "views"
    scene = MemoryScene(int(views.read_text()) if views.is_file() else 6, name=asked.name)
    if (asked.folder / "no_depth").is_file():
        return [replace(frame, depth=None) for frame in frames_of(scene)]
    return frames_of(scene)


def frames_of(scene: MemoryScene) -> list[Frame]:
    """What a reader of such a scene returns."""
    return [
        Frame(
            image_id,
            partial(scene.image, image_id),
            scene.K(image_id),
            scene.w2c(image_id),
            scene.depth_range(image_id),
            scene.shape,
            depth=partial(scene.depth, image_id),
        )
        for image_id in scene.image_ids
    ]


def make_scenes(data_root: Path, *names: str, views: int = 6) -> None:
    """Make folders for `read_folder`."""
    for name in names:
        (data_root / name).mkdir(parents=True)
        (data_root / name / "views").write_text(str(views))


def use_folders(monkeypatch) -> None:
    """Have `read_folder` read four data sets, of which all else that their records say holds."""
    for name in ("gso", "space", "dtu_train", "real_iconic"):
        changes = {"pattern": f"{name}/<scene>", "folders": (name,), "scenes_in": ".", "listed_size": "", "names": ""}
        split = EveryNth(slice(0, 1))
        monkeypatch.setitem(DATA_SETS, name, replace(DATA_SETS[name], reader=read_folder, split=split, **changes))
