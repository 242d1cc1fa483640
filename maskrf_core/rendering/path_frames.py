"""The frames of a camera path as PNG files that say what they show, so that none is taken for another."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.digests import digest

NOTE = "maskrf"
"""Name of the PNG's text that holds the frame's key and a hash of its pixels."""


def write_frame(path: Path, picture: UInt8[np.ndarray, "height width 3"], key: str) -> None:
    """Write a frame atomically, with the key of what it shows inside."""
    note = PngInfo()
    note.add_text(NOTE, _note(picture, key))
    write_atomically(path, lambda file: Image.fromarray(picture).save(file, "png", pnginfo=note))


def read_frame(path: Path, key: str) -> UInt8[np.ndarray, "height width 3"] | None:
    """The frame of that key; None where the file is missing, damaged, of another key, or was changed since."""
    if not path.is_file():
        return None
    try:
        with Image.open(path, formats=["PNG"]) as image:
            note, picture = image.info.get(NOTE), np.array(image.convert("RGB"))
    except Exception:  # damage shows as one of many kinds
        return None
    return picture if note == _note(picture, key) else None


def remove_frames_from(folder: Path, kinds: tuple[str, ...], first: int) -> None:
    """Remove the frames of a longer path that was here before."""
    for kind in kinds:
        for path in folder.glob(f"{kind}_*.png"):
            number = path.stem.removeprefix(f"{kind}_")
            if number.isdigit() and int(number) >= first:
                path.unlink()


def as_bytes(picture: Float[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """Colours in [0, 1], clipped, as bytes."""
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def depth_colours(
    depth: Float[np.ndarray, "height width"], near: float, far: float
) -> UInt8[np.ndarray, "height width 3"]:
    """Viridis over inverse depth, from near (bright) to far.

    Black where the expected depth is below near: such a ray hits nothing (0) or hardly anything.
    """
    inverse = 1 / depth.clip(near, far)
    shade = (inverse - 1 / far) / (1 / near - 1 / far)
    colours = cv2.applyColorMap((shade * 255).round().astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    return np.where(depth[..., None] >= near, colours, 0).astype(np.uint8)


def _note(picture: UInt8[np.ndarray, "height width 3"], key: str) -> str:
    return f"{key} {digest(picture)}"
