"""What the builders of tiny scenes share: pictures and cameras."""

from pathlib import Path

import cv2
import numpy as np


def write_picture(path: Path, height: int, width: int, *, channels: int = 3) -> None:
    """A smooth coloured picture, its own for each file name; parent folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(list(path.stem.encode()))
    coarse = generator.integers(1, 256, (4, 4, channels), dtype=np.uint8)
    write(path, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))


def write(path: Path, pixels: np.ndarray) -> None:
    """Pixels as OpenCV orders them (blue first)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def disc(height: int, width: int) -> np.ndarray:
    """A mask, 255 within a disc in the middle."""
    y, x = np.mgrid[:height, :width]
    inside = (2 * x - width + 1) ** 2 + (2 * y - height + 1) ** 2 < (0.8 * min(height, width)) ** 2
    return np.where(inside, np.uint8(255), np.uint8(0))


def orbit(angle: float, distance: float = 3.0) -> np.ndarray:
    """w2c [3 4] of a camera on a circle around the origin, looking at it, with y down."""
    forward, down = np.array([-np.sin(angle), 0, np.cos(angle)]), np.array([0.0, 1, 0])
    return np.column_stack([np.stack([np.cross(down, forward), down, forward]), [0, 0, distance]])


def as_text(matrix: np.ndarray) -> str:
    """Numbers row by row, one row a line."""
    return "\n".join(" ".join(repr(float(number)) for number in row) for row in np.atleast_2d(matrix))


def homogeneous(w2c: np.ndarray) -> np.ndarray:
    return np.vstack([w2c, [0, 0, 0, 1]])


def replace_in(path: Path, old: str, new: str) -> None:
    """Change a text file that must hold `old`."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
