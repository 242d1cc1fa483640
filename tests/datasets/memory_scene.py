"""A scene made up in memory: cameras on a line, noise for images, everything known."""

from pathlib import Path

import numpy as np

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

    def split(self, kind):
        if kind == "train":
            return self.image_ids, self.image_ids
        return self.image_ids[1:], self.image_ids[:1]


class FolderScene(MemoryScene):
    """A layout of any data set: a scene is a folder `<data set>/<scene>` below the data root, which may hold a file
    `views` (how many) or `broken`. Its images are in memory."""

    data_set = ""

    @classmethod
    def names(cls, data_root: Path) -> list[str]:
        return [f"{cls.data_set}/{path.name}" for path in sorted((data_root / cls.data_set).glob("*"))]

    def __init__(self, name: str, data_root: Path):
        folder = data_root / name
        if not folder.is_dir() or (folder / "broken").is_file():
            raise DatasetError(f"{folder}: missing or broken. Unpack it again.")
        views = folder / "views"
        super().__init__(int(views.read_text()) if views.is_file() else 6, name=name)


class GsoScene(FolderScene):
    data_set = "gso"


class SpaceScene(FolderScene):
    data_set = "space"


class DtuTrainScene(FolderScene):
    data_set = "dtu_train"


class RealIconicScene(FolderScene):
    data_set = "real_iconic"


def make_scenes(data_root: Path, *names: str, views: int = 6) -> None:
    """Folders of `FolderScene`s."""
    for name in names:
        (data_root / name).mkdir(parents=True)
        (data_root / name / "views").write_text(str(views))


def folder_layouts() -> dict[str, str]:
    """To be put over `scene.LAYOUTS`."""
    here = "tests.datasets.memory_scene"
    return {cls.data_set: f"{here}:{cls.__name__}" for cls in (GsoScene, SpaceScene, DtuTrainScene, RealIconicScene)}
