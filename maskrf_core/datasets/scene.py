"""The one interface of a scene on disk, and how to open one by name."""

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.data_set import DataSet
from maskrf_core.datasets.files.checked_files import find_scene_folder, scene_folders
from maskrf_core.datasets.files.scene_names import name_parts
from maskrf_core.datasets.readers.frames import FrameScene, NamedScene
from maskrf_core.datasets.records import DATA_SETS
from maskrf_core.datasets.splits import SplitKind
from maskrf_core.support.errors import DatasetError


@runtime_checkable  # so that the tests' type checker can check arguments
class Scene(Protocol):
    """Posed photographs of one place. Nothing is read before it is asked for; arrays come out.

    `name` is what `open_scene` was given; `image_ids` are unique and in a stable order. Reading what is missing or
    broken raises `DatasetError` naming the file.
    """

    name: str
    image_ids: list[str]

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """Read RGB, already composited on the background that the scene's name asks for."""
        ...

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        """Return intrinsics for the image as returned, in pixels; the centre of the first pixel is (0, 0)."""
        ...

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        """Return world to camera `[R|t]`, OpenCV axes."""
        ...

    def depth_range(self, image_id: str) -> tuple[float, float]:
        """Return (near, far) in scene units, 0 < near < far."""
        ...

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """Read the mask: True on the foreground; all True where the data set has no masks."""
        ...

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """Read z-depth, 0 where unknown; None if the data set has no depth maps."""
        ...

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """Return (reference ids, query ids). In `train` every query is also a possible reference of the others."""
        ...


def open_scene(name: str, data_root: str | Path = "data") -> Scene:
    """Open a scene such as `nerf_synthetic/lego/black_400` below `data_root`; `demo/<scene>` needs no data root.

    Raises:
        DatasetError: no such data set or scene, with the nearest name that exists, or files that are missing or broken.
    """
    record, data_root = _record(name.split("/")[0], name), Path(data_root)
    if not record.folders:
        asked = NamedScene(name, record, (), data_root, data_root)
    else:
        words = tuple(name_parts(name, record.pattern, record.example))
        asked = NamedScene(name, record, words, data_root, _folder(name, words[0], record, data_root))
    return FrameScene(asked, _function(record.reader)(asked))


def scene_names(data_set: str, data_root: str | Path = "data") -> list[str]:
    """List names for `open_scene` of all scenes of a data set below `data_root`, at their published size.

    Only folders are looked at; whether a scene is whole shows when it is opened. Empty where the data set is absent.

    Raises:
        DatasetError: no such data set, with the nearest one that exists.
    """
    record = _record(data_set, data_set)
    folders = record.scene_folders(Path(data_root))
    return _function(record.names)(folders) if record.names else record.scene_names(folders)


def _folder(name: str, scene: str, record: DataSet, data_root: Path) -> Path:
    """Find the scene's folder, which may bear its name or the other name that the scene has."""
    parents = record.parents(data_root)
    others = [other for pair in record.aliases.items() if scene in pair for other in pair if other != scene]
    there = {folder.name for folder in scene_folders(parents)} if others else set()
    known = next((folder for folder in (scene, *others) if folder in there), scene)
    return find_scene_folder(name, known, parents)


def _record(data_set: str, asked: str) -> DataSet:
    if data_set not in DATA_SETS:
        nearest = get_close_matches(data_set, DATA_SETS, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise DatasetError(f"{asked}: unknown data set {data_set!r}.{hint} Known are {', '.join(DATA_SETS)}.")
    return DATA_SETS[data_set]


def _function(named: str | Callable) -> Callable:
    """Import `module:function`, which happens when it is needed; a function itself stays what it is."""
    if callable(named):
        return named
    module, _, function = named.partition(":")
    return getattr(import_module(module), function)
