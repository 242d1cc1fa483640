"""The demo scenes that come with the package: `demo/train_00` and so on; no data root and no download needed.

One folder a scene: `cameras.json` (ids, K, w2c, depth ranges), `images.webp` (lossless) and `depths.png` (16 bit),
both with all views tiled row by row. `maskrf_core.datasets.procedural.render_demo` made them.
"""

import json
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt16

from maskrf_core.datasets.data_set import Frame, NamedScene, SplitKind
from maskrf_core.support.errors import DatasetError

DATA_FOLDER = Path(__file__).parent / "demo_scenes"
SCENE_COUNTS: dict[SplitKind, int] = {"train": 18, "validation": 2, "test": 4}
VIEW_SIZE = (96, 96)
TILES_PER_ROW = 5
DEPTH_LEVELS = 2**13 - 1
"""Stored depth is 0 (background) or 1 + (DEPTH_LEVELS - 1) u, u the normalised inverse depth in the view's range: an
error below 1e-4 of the depth, and fewer bytes than all 16 bits would take."""


def demo_scene_names(split: SplitKind) -> list[str]:
    """List names for `open_scene` of the demo scenes that belong to a split; the splits share no scene."""
    return [f"demo/{split}_{number:02d}" for number in range(SCENE_COUNTS[split])]


def all_demo_scene_names(folders: list[Path]) -> list[str]:
    """List names of all demo scenes; they come with the package, so no folders below the data root matter."""
    return [scene for split in SCENE_COUNTS for scene in demo_scene_names(split)]


def encode_depth(
    depth: Float[np.ndarray, "height width"], depth_range: tuple[float, float]
) -> UInt16[np.ndarray, "height width"]:
    """Turn depth (0 = background, else within the range) into its stored levels."""
    near, far = depth_range
    inverse = 1 / np.where(depth > 0, depth, near)
    level = 1 + np.round((1 / near - inverse) / (1 / near - 1 / far) * (DEPTH_LEVELS - 1))
    return np.where(depth > 0, level, 0).astype(np.uint16)


def decode_depth(
    levels: UInt16[np.ndarray, "height width"], depth_range: tuple[float, float]
) -> Float32[np.ndarray, "height width"]:
    """Turn stored levels into depth, as `encode_depth` made them."""
    near, far = depth_range
    inverse = 1 / near - (levels.astype(np.float64) - 1) / (DEPTH_LEVELS - 1) * (1 / near - 1 / far)
    return np.where(levels > 0, 1 / inverse, 0).astype(np.float32)


def read_demo_scene(asked: NamedScene) -> list[Frame]:
    """Read a scene of the shipped data: 20 views of 96×96 on black; any of them has all three splits.

    The world has z up and the scene is about one unit in radius. Depth ranges enclose all surfaces, hidden ones too,
    with 3 % to spare; depth is exact at the pixels' centres (error below 1e-4 of it), and the mask is where a ray
    through the pixel's centre hits a surface.
    """
    known = all_demo_scene_names([])
    if asked.name not in known:
        hint = f" Did you mean {nearest[0]!r}?" if (nearest := get_close_matches(asked.name, known, n=1)) else ""
        ranges = ", ".join(f"demo/{split}_00 to _{count - 1:02d}" for split, count in SCENE_COUNTS.items())
        raise DatasetError(f"{asked.name}: no such demo scene.{hint} There are {ranges}.")
    folder = DATA_FOLDER / asked.name.removeprefix("demo/")
    try:
        cameras = json.loads((folder / "cameras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(asked.name, folder / "cameras.json") from error
    images = cache(partial(_read_sheet, asked.name, folder / "images.webp", cv2.IMREAD_COLOR))
    depths = cache(partial(_read_sheet, asked.name, folder / "depths.png", cv2.IMREAD_UNCHANGED))

    def frame(number: int, image_id: str, camera: dict[str, list]) -> Frame:
        depth_range = tuple(camera["depth_range"])
        return Frame(
            image_id,
            lambda: _tile(images(), number)[..., ::-1].copy(),
            camera["K"],
            camera["w2c"],
            depth_range,
            VIEW_SIZE,
            mask=lambda: _tile(depths(), number) > 0,
            depth=lambda: decode_depth(_tile(depths(), number), depth_range),
        )

    return [frame(number, *named) for number, named in enumerate(cameras.items())]


def _read_sheet(name: str, path: Path, flag: int) -> np.ndarray:
    if not path.is_file() or (sheet := cv2.imread(str(path), flag)) is None:
        raise _broken(name, path)
    return sheet


def _tile(sheet: np.ndarray, number: int) -> np.ndarray:
    row, column = divmod(number, TILES_PER_ROW)
    size = sheet.shape[1] // TILES_PER_ROW
    return sheet[row * size : (row + 1) * size, column * size : (column + 1) * size]


def _broken(name: str, path: Path) -> DatasetError:
    return DatasetError(
        f"{name}: {path} {'cannot be read' if path.exists() else 'is missing'}; it is part of the package. Reinstall "
        "it (in a checkout: git checkout -- maskrf_core/datasets/demo_scenes)."
    )
