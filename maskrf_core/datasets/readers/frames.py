"""Frames, which readers return, and the scene that is made of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.data_set import DataSet
from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.files.image_files import image_size, list_images, read_rgb
from maskrf_core.datasets.files.scene_names import look_up
from maskrf_core.datasets.splits import SplitKind
from maskrf_core.support.errors import DatasetError


@dataclass(frozen=True)
class NamedScene:
    """A scene that was asked for by name, as its reader gets it."""

    name: str
    data_set: DataSet
    words: tuple[str, ...]
    """Words of the name that fill the placeholders of its data set's pattern; the first one is the scene's own."""
    data_root: Path
    folder: Path  # folder of the scene, which is there; the data root itself where the data set has no folders


@dataclass(frozen=True)
class Frame:
    """One image of a scene, its camera and what is known of its depth.

    Every field but the id may be a function without arguments, which reads the value when it is first asked for; what
    it returns is kept, pictures excepted. Reading raises `DatasetError`, which names the file and a remedy.
    """

    image_id: str
    image: Path | Callable[[], UInt8[np.ndarray, "height width 3"]]
    """RGB; of a file as it is, which must have the frame's size, the path."""
    K: Any  # 3×3 intrinsics of the image as returned, in pixels; the centre of the first pixel is (0, 0)
    w2c: Any  # 3×4 world to camera, OpenCV axes
    depth_range: Any  # (near, far) in scene units, 0 < near < far
    size: Any  # (height, width) of the image as returned
    mask: Callable[[], Bool[np.ndarray, "height width"]] | None = None  # true on the foreground; None: everywhere
    depth: Callable[[], Float32[np.ndarray, "height width"] | None] | None = None
    """z-depth, 0 where unknown; None: COLMAP's, where the data set's record says where that is kept."""
    file: str = ""  # name of the image's file, where depth maps are called after it


class FrameScene:
    """Scene of the frames that a reader returned. Implements `maskrf_core.datasets.scene.Scene`.

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
        """Read the image; `DatasetError` if its file is missing, broken or of another size."""
        image = self._frame(image_id).image
        return read_rgb(image, self._size(image_id)) if isinstance(image, Path) else image()

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        """Return the intrinsics."""
        return np.array(self._read(image_id, "K"), np.float64)

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        """Return the pose."""
        return np.array(self._read(image_id, "w2c"), np.float64)

    def depth_range(self, image_id: str) -> tuple[float, float]:
        """Return (near, far)."""
        near, far = self._read(image_id, "depth_range")
        return float(near), float(far)

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """Read the mask."""
        mask = self._frame(image_id).mask
        return np.ones(self._size(image_id), bool) if mask is None else mask()

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """Read the frame's own depth, or COLMAP's map where it is kept; None where neither is."""
        frame, kept = self._frame(image_id), self._asked.data_set.colmap_depth
        if frame.depth is not None:
            return frame.depth()
        asked = self._asked
        for template in kept.files if kept else ():
            scene, size = asked.words[0], asked.words[-1]
            places = {"root": asked.data_root, "folder": asked.folder, "scene": scene, "size": size}
            if not (path := Path(template.format(**places, image_id=image_id, file=frame.file))).is_file():
                continue
            far = self.depth_range(image_id)[1] if kept.ends_at_far else None
            depth = kept_colmap_depth(path, self._size(image_id), far=far, any_shape=kept.any_shape)
            return np.where(self.mask(image_id), depth, np.float32(0)) if kept.within_mask else depth
        return None

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """Return (reference ids, query ids) by the data set's rule, which is asked once."""
        if (kind, "split") not in self._known:
            self._known[kind, "split"] = self._asked.data_set.split(self.name, self.image_ids, kind)
        references, queries = self._known[kind, "split"]
        return list(references), list(queries)

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


def downscale_ratio(name: str, asked: str, native: int) -> float:
    """Return the side that a scene's name asks for over the images' own, in (0, 1]; 1 for `raw`.

    Raises:
        DatasetError: more is asked for than there is; the message names what can be opened instead.
    """
    if asked != "raw" and int(asked) > native:
        raise DatasetError(
            f"{name}: {asked} pixels are asked for, but the images have {native} and are never enlarged. Open "
            f"{name[: -len(asked)]}{native} instead."
        )
    return 1.0 if asked == "raw" else int(asked) / native


def listed_width(images: Path, published: int) -> int:
    """Return the width to list a scene at: the published one, or that of the folder's first image where it is smaller.

    The published one too where no image can be read, which is said when the scene is opened.
    """
    try:
        return min(published, image_size(list_images(images)[0])[1])
    except DatasetError:
        return published
