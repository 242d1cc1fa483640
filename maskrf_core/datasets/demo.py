"""The demo scenes that come with the package: `demo/train_00` and so on; no data root and no download needed.

One folder a scene: `cameras.json` (ids, K, w2c, depth ranges), `images.webp` (lossless) and `depths.png` (16 bit),
both with all views tiled row by row. `maskrf_core.datasets.procedural.render_demo` made them.
"""

import json
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8, UInt16

from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.errors import DatasetError

DATA_FOLDER = Path(__file__).parent / "demo_scenes"
SCENE_COUNTS: dict[SplitKind, int] = {"train": 18, "validation": 2, "test": 4}
QUERY_VIEWS = slice(2, None, 5)
"""Query views of a validation or test split: four of twenty, on four sides of the scene."""
TILES_PER_ROW = 5
DEPTH_LEVELS = 2**13 - 1
"""Stored depth is 0 (background) or 1 + (DEPTH_LEVELS - 1) u, u the normalised inverse depth in the view's range: an
error below 1e-4 of the depth, and fewer bytes than all 16 bits would take."""


def demo_scene_names(split: SplitKind) -> list[str]:
    """Names for `open_scene` of the demo scenes that belong to a split; the splits share no scene."""
    return [f"demo/{split}_{number:02d}" for number in range(SCENE_COUNTS[split])]


def encode_depth(
    depth: Float[np.ndarray, "height width"], depth_range: tuple[float, float]
) -> UInt16[np.ndarray, "height width"]:
    """Depth (0 = background, else within the range) to its stored levels."""
    near, far = depth_range
    inverse = 1 / np.where(depth > 0, depth, near)
    level = 1 + np.round((1 / near - inverse) / (1 / near - 1 / far) * (DEPTH_LEVELS - 1))
    return np.where(depth > 0, level, 0).astype(np.uint16)


def decode_depth(
    levels: UInt16[np.ndarray, "height width"], depth_range: tuple[float, float]
) -> Float32[np.ndarray, "height width"]:
    """The inverse of `encode_depth`."""
    near, far = depth_range
    inverse = 1 / near - (levels.astype(np.float64) - 1) / (DEPTH_LEVELS - 1) * (1 / near - 1 / far)
    return np.where(levels > 0, 1 / inverse, 0).astype(np.float32)


class DemoScene:
    """A `Scene` of the shipped demo data, 20 views of 96×96 on black; any of them has all three splits.

    `train`: every view is both reference and query. `validation`, `test`: every fifth view from the third is a query,
    the others are references.

    Raises:
        DatasetError: no such scene or image, or a data file that is missing or broken.
    """

    @staticmethod
    def names(data_root: str | Path = "data") -> list[str]:
        """All demo scenes; they come with the package, so `data_root` does not matter."""
        return [scene for split in SCENE_COUNTS for scene in demo_scene_names(split)]

    def __init__(self, name: str, data_root: str | Path = "data"):
        known = self.names()
        if name not in known:
            nearest = get_close_matches(name, known, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            ranges = ", ".join(f"demo/{split}_00 to _{count - 1:02d}" for split, count in SCENE_COUNTS.items())
            raise DatasetError(f"{name}: no such demo scene.{hint} There are {ranges}.")
        self.name = name
        self.folder = DATA_FOLDER / name.removeprefix("demo/")

    @property
    def image_ids(self) -> list[str]:
        """`view_00` to `view_19`."""
        return list(self._cameras)

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """RGB on black; pixels at the outline are blended with it."""
        return self._tile(self._images, image_id)[..., ::-1].copy()

    def K(self, image_id: str) -> Float64[np.ndarray, "3 3"]:
        """Intrinsics in pixels; the centre of the first pixel is (0, 0)."""
        return np.array(self._camera(image_id)["K"], dtype=np.float64)

    def w2c(self, image_id: str) -> Float64[np.ndarray, "3 4"]:
        """World to camera, OpenCV axes; the world has z up and the scene about one unit in radius."""
        return np.array(self._camera(image_id)["w2c"], dtype=np.float64)

    def depth_range(self, image_id: str) -> tuple[float, float]:
        """(near, far) around the depths of all surfaces, hidden ones too, with 3 % to spare."""
        near, far = self._camera(image_id)["depth_range"]
        return near, far

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """True where the ray through the pixel's centre hits a surface."""
        return self._tile(self._depths, image_id) > 0

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"]:
        """Exact z-depth at the pixels' centres (error below 1e-4 of it), 0 on the background."""
        return decode_depth(self._tile(self._depths, image_id), self.depth_range(image_id))

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """(reference ids, query ids); see the class."""
        if kind == "train":
            return self.image_ids, self.image_ids
        queries = self.image_ids[QUERY_VIEWS]
        return [image_id for image_id in self.image_ids if image_id not in queries], queries

    @cached_property
    def _cameras(self) -> dict[str, dict]:
        path = self.folder / "cameras.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self._broken(path) from error

    @cached_property
    def _images(self) -> UInt8[np.ndarray, "sheet_height sheet_width 3"]:
        return self._read_sheet("images.webp", cv2.IMREAD_COLOR)

    @cached_property
    def _depths(self) -> UInt16[np.ndarray, "sheet_height sheet_width"]:
        return self._read_sheet("depths.png", cv2.IMREAD_UNCHANGED)

    def _read_sheet(self, file_name: str, flag: int) -> np.ndarray:
        path = self.folder / file_name
        sheet = cv2.imread(str(path), flag) if path.is_file() else None
        if sheet is None:
            raise self._broken(path)
        return sheet

    def _broken(self, path: Path) -> DatasetError:
        state = "cannot be read" if path.exists() else "is missing"
        return DatasetError(
            f"{self.name}: {path} {state}; it is part of the package. Reinstall it (in a checkout: "
            f"git checkout -- maskrf_core/datasets/demo_scenes)."
        )

    def _camera(self, image_id: str) -> dict:
        if image_id not in self._cameras:
            nearest = get_close_matches(image_id, self._cameras, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            first, *_, last = self.image_ids
            raise DatasetError(f"{self.name}: no image {image_id!r}.{hint} Its images are {first} to {last}.")
        return self._cameras[image_id]

    def _tile(self, sheet: np.ndarray, image_id: str) -> np.ndarray:
        self._camera(image_id)
        row, column = divmod(self.image_ids.index(image_id), TILES_PER_ROW)
        size = sheet.shape[1] // TILES_PER_ROW
        return sheet[row * size : (row + 1) * size, column * size : (column + 1) * size]
