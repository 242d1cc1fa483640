"""The one interface of a scene on disk, and how to open one by name."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.support.errors import DatasetError

SplitKind = Literal["train", "validation", "test"]


@runtime_checkable  # so that the tests' type checker can check arguments
class Scene(Protocol):
    """Posed photographs of one place. Nothing is read before it is asked for; arrays come out.

    `name` is what `open_scene` was given; `image_ids` are unique and in a stable order. Reading what is missing or
    broken raises `DatasetError` naming the file.
    """

    name: str
    image_ids: list[str]

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB, already composited on the background that the scene's name asks for."""
        ...

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        """Intrinsics for the image as returned, in pixels; the centre of the first pixel is (0, 0)."""
        ...

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        """World to camera `[R|t]`, OpenCV axes."""
        ...

    def depth_range(self, image_id: str) -> tuple[float, float]:
        """(near, far) in scene units, 0 < near < far."""
        ...

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """True on the foreground; all True where the data set has no masks."""
        ...

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """z-depth, 0 where unknown; None if the data set has no depth maps."""
        ...

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """(reference ids, query ids). In `train` every query is also a possible reference of the others."""
        ...


LAYOUTS = {
    "demo": "maskrf_core.datasets.demo:DemoScene",
    "gso": "maskrf_core.datasets.readers.google_scanned_objects:GoogleScannedObjectsScene",
    "dtu_train": "maskrf_core.datasets.readers.dtu_training:DtuTrainScene",
    "real_iconic": "maskrf_core.datasets.readers.real_iconic:RealIconicScene",
    "space": "maskrf_core.datasets.readers.spaces:SpacesScene",
    "real_estate": "maskrf_core.datasets.readers.real_estate:RealEstateScene",
    "dtu_test": "maskrf_core.datasets.readers.dtu_testing:DtuTestScene",
    "llff_colmap": "maskrf_core.datasets.readers.llff_colmap:LlffColmapScene",
    "nerf_synthetic": "maskrf_core.datasets.readers.nerf_synthetic:NerfSyntheticScene",
    "nerf_llff": "maskrf_core.datasets.readers.nerf_llff:NerfLlffScene",
    "blended_mvs": "maskrf_core.datasets.readers.blended_mvs:BlendedMvsScene",
    "example": "maskrf_core.datasets.readers.example:ExampleScene",
    "capture": "maskrf_core.datasets.readers.capture:CaptureScene",
}
"""First word of a scene's name → the class that reads it, called as `Class(name, data_root)`.

`Class.names(data_root)` lists the scenes that are there. To add a layout, write one file with a class that satisfies
`Scene` and has `names`, and add its line here.
"""


def open_scene(name: str, data_root: str | Path = "data") -> Scene:
    """Open a scene such as `nerf_synthetic/lego/black_400` below `data_root`; `demo/<scene>` needs no data root.

    Raises:
        DatasetError: no such layout or scene, with the nearest name that exists, or files that are missing or broken.
    """
    return _scene_class(name.split("/")[0], name)(name, Path(data_root))


def scene_names(data_set: str, data_root: str | Path = "data") -> list[str]:
    """Names for `open_scene` of all scenes of a data set below `data_root`, at their published size, in a stable order.

    Only folders are looked at; whether a scene is whole shows when it is opened. Empty where the data set is absent.

    Raises:
        DatasetError: no such data set, with the nearest one that exists.
    """
    return _scene_class(data_set, data_set).names(Path(data_root))


def _scene_class(layout: str, asked: str) -> type:
    if layout not in LAYOUTS:
        nearest = get_close_matches(layout, LAYOUTS, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise DatasetError(f"{asked}: unknown data set {layout!r}.{hint} Known are {', '.join(LAYOUTS)}.")
    module, _, class_name = LAYOUTS[layout].partition(":")
    return getattr(import_module(module), class_name)
