"""The one interface of a scene on disk, and how to open one by name."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.data_set import PARTS, DataSet, Frame, NamedScene, SplitKind
from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.files.checked_files import files_stamp, find_scene_folder, scene_folders
from maskrf_core.datasets.files.image_files import alpha_mask, read_rgb
from maskrf_core.datasets.files.scene_names import look_up, name_parts
from maskrf_core.datasets.recentring import moved_world, recentring_shift
from maskrf_core.datasets.records import DATA_SETS
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

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        """Return intrinsics for the image as returned, in pixels; the centre of the first pixel is (0, 0)."""

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        """Return world to camera `[R|t]`, OpenCV axes; the world's origin is near enough for float32."""

    def depth_range(self, image_id: str) -> tuple[float, float]:
        """Return (near, far) in scene units, 0 < near < far."""

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """Read the mask: True on the foreground; all True where there is neither a mask nor transparency."""

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """Read z-depth, 0 where unknown; None if the data set has no depth maps."""

    def has_depth(self, image_id: str) -> bool:
        """Tell whether `depth` has a map of this view, without reading it."""

    def stamp(self) -> str | None:
        """Return what changes with the files that pictures come from, by their sizes and times, without reading them.

        None where these files are not known, so that only the pictures themselves tell whether they have changed.
        """

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """Return (reference ids, query ids). In `train` every query is also a possible reference of the others."""


class FrameScene(Scene):
    """Scene of the frames that a reader returned.

    Cameras far from the origin, as in geographic coordinates, are moved to it: see `world_shift`.

    Raises:
        DatasetError: there are no frames, or two of one id.
    """

    def __init__(self, asked: NamedScene, frames: Iterable[Frame]):
        frames = list(frames)
        self.name, self.folder = asked.name, asked.folder
        self.image_ids = [frame.image_id for frame in frames]
        self._asked = asked
        self._frames = dict(zip(self.image_ids, frames, strict=True))
        self._known: dict[tuple[str, str], Any] = {}
        if not 0 < len(frames) == len(self._frames):
            raise DatasetError(f"{asked.name}: holds no images, or two of one id. Unpack the data set again.")

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        image = self._frame(image_id).image
        return read_rgb(image, self._size(image_id)) if isinstance(image, Path) else image()

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        return np.array(self._read(image_id, "K"), np.float64)

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return moved_world(np.array(self._read(image_id, "w2c"), np.float64), self.world_shift)

    @cached_property
    def world_shift(self) -> Float[np.ndarray, "3"]:
        """Return what was taken from the files' world coordinates, in their units; zero where these are small."""
        poses = [frame.w2c for frame in self._frames.values()]
        # Cameras that are read one by one stand around an object at the origin: not all are read to know it.
        return np.zeros(3) if any(map(callable, poses)) else recentring_shift(np.array(poses, np.float64))

    def depth_range(self, image_id: str) -> tuple[float, float]:
        near, far = self._read(image_id, "depth_range")
        return float(near), float(far)

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        frame = self._frame(image_id)
        if frame.mask is not None:
            return frame.mask()
        size = self._size(image_id)
        return alpha_mask(frame.image, size) if isinstance(frame.image, Path) else np.ones(size, bool)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        frame, kept = self._frame(image_id), self._asked.data_set.colmap_depth
        if frame.depth is not None:
            return frame.depth()
        if (path := self._colmap_file(image_id)) is None:
            return None
        far = self.depth_range(image_id)[1] if kept.ends_at_far else None
        depth = kept_colmap_depth(path, self._size(image_id), far=far, any_shape=kept.any_shape)
        return np.where(self.mask(image_id), depth, np.float32(0)) if kept.within_mask else depth

    def has_depth(self, image_id: str) -> bool:
        return self._frame(image_id).depth is not None or self._colmap_file(image_id) is not None

    def stamp(self) -> str | None:
        if not self._asked.data_set.folders:
            return None
        frames = self._frames.values()
        beside = [file for frame in frames for file in frame.files]
        beside += [frame.image for frame in frames if isinstance(frame.image, Path)]
        beside += [file for image_id in self.image_ids if (file := self._colmap_file(image_id)) is not None]
        try:
            return files_stamp(self.folder, beside)
        except OSError:  # a file is gone, which is said when it is read
            return None

    def _colmap_file(self, image_id: str) -> Path | None:
        """Find the file of COLMAP's depth of a view."""
        asked, kept, file = self._asked, self._asked.data_set.colmap_depth, self._frame(image_id).file
        if kept is None:
            return None
        places = {"root": asked.data_root, "folder": asked.folder, "scene": asked.words[0], "size": asked.words[-1]}
        paths = (Path(template.format(**places, image_id=image_id, file=file)) for template in kept.files)
        return next((path for path in paths if path.is_file()), None)

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        if (kind, "split") not in self._known:
            rule = self._listed_split if any(frame.part for frame in self._frames.values()) else self._rule
            self._known[kind, "split"] = rule(kind)
        references, queries = self._known[kind, "split"]
        return list(references), list(queries)

    def _rule(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        return self._asked.data_set.split(self.name, self.image_ids, kind)

    def _listed_split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """Split as the files list it; where they list no queries of a kind, those of the other kind are taken."""
        parts = {part: [each for each, frame in self._frames.items() if frame.part == part] for part in PARTS}
        references = parts["train"]
        queries = parts["val"] or parts["test"] if kind == "validation" else parts["test"] or parts["val"]
        if not references:
            raise DatasetError(f"{self.name}: no photograph is listed for training. Correct the lists of its files.")
        if not queries:
            return self._rule(kind)
        return references, references if kind == "train" else queries

    def _frame(self, image_id: str) -> Frame:
        return look_up(self._frames, image_id, self.name)

    def _read(self, image_id: str, field: str) -> Any:
        value = getattr(self._frame(image_id), field)
        if not callable(value):
            return value
        if (image_id, field) not in self._known:
            self._known[image_id, field] = value()
        return self._known[image_id, field]

    def _size(self, image_id: str) -> tuple[int, int]:
        return self._read(image_id, "size")


def open_scene(name: str, data_root: str | Path = "data") -> Scene:
    """Open a scene such as `nerf_synthetic/lego/black_400` below `data_root`; `demo/<scene>` needs no data root.

    Raises:
        DatasetError: no such data set or scene, with the nearest name that exists, or files that are missing or broken.
    """
    record, data_root = _record(name.split("/")[0], name), Path(data_root)
    words, folder = (), data_root
    if record.folders:
        words = tuple(name_parts(name, record.pattern, record.example))
        # The scene's folder may bear its name or the other name that the scene has.
        others = [other for pair in record.aliases.items() if words[0] in pair for other in pair if other != words[0]]
        there = {path.name for path in scene_folders(record.parents(data_root))} if others else set()
        known = next((each for each in (words[0], *others) if each in there), words[0])
        folder = find_scene_folder(name, known, record.parents(data_root))
    asked = NamedScene(name, record, words, data_root, folder)
    return FrameScene(asked, _function(record.reader)(asked))


def scene_names(data_set: str, data_root: str | Path = "data") -> list[str]:
    """List names for `open_scene` of all scenes of a data set below `data_root`, at their published size.

    Only folders are looked at; whether a scene is whole shows when it is opened. Empty where the data set is absent.

    Raises:
        DatasetError: no such data set, with the nearest one that exists.
    """
    record = _record(data_set, data_set)
    folders: dict[str, Path] = {}
    for folder in scene_folders(record.parents(Path(data_root))):
        folders.setdefault(folder.name, folder)
    if record.names:
        return _function(record.names)(list(folders.values()))
    shown = {scene: alias for alias, scene in record.aliases.items()}
    hidden = () if record.lists_held_out else record.held_out
    ending = f"/{record.listed_size}" if record.listed_size else ""
    return [f"{data_set}/{shown.get(scene, scene)}{ending}" for scene in folders if scene not in hidden]


def _record(data_set: str, asked: str) -> DataSet:
    if data_set not in DATA_SETS:
        nearest = get_close_matches(data_set, DATA_SETS, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise DatasetError(f"{asked}: unknown data set {data_set!r}.{hint} Known are {', '.join(DATA_SETS)}.")
    return DATA_SETS[data_set]


def _function(named: str | Callable) -> Callable:
    """Import `module:function`, which happens when it is needed; a function itself stays what it is."""
    return named if callable(named) else resolve_name(named)
