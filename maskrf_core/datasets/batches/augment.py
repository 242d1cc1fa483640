"""Changes of pictures with their cameras: cropped, mirrored, filled up, padded.

Whatever happens to an image happens to its camera, depth and mask: a point of the scene projects onto the same content
before and after.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.nn import functional

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.support.errors import DatasetError

PICTURES = ("images", "masks", "depths", "true_depths")


class Window(NamedTuple):
    """A rectangle of pixels; what of it lies outside an image is cut off."""

    top: int
    left: int
    height: int
    width: int


def draw_window(
    sizes: Sequence[tuple[int, int]], height: int | None, width: int | None, *, generator: np.random.Generator
) -> Window:
    """Draw a window of height × width that fits into images of all these sizes (height, width).

    A side in which an image is smaller, or for which None is asked, is kept whole.
    """
    smallest, largest = np.min(sizes, axis=0).tolist(), np.max(sizes, axis=0).tolist()
    sides = [most if side is None else side for side, most in zip((height, width), largest, strict=True)]
    starts = [int(generator.integers(max(0, least - side) + 1)) for side, least in zip(sides, smallest, strict=True)]
    return Window(*starts, *sides)


def crop(views: Views, window: Window) -> Views:
    """Cut out the part of the views inside the window; the principal point moves with the window's corner."""
    top, left, height, width = window
    K = views.K.clone()
    K[:, :2, 2] -= torch.tensor([left, top])
    return _pictures_changed(views, lambda picture: picture[..., top : top + height, left : left + width]).replace(K=K)


def flip(views: Views) -> Views:
    """Mirror views left to right, as images of the same scene by cameras whose x axis runs backwards.

    Pixel x becomes W - 1 - x: the first row of K is negated, then W - 1 is added to its principal point. The focal
    length in x is negative from then on; w2c stays.
    """
    K = views.K.clone()
    K[:, 0] *= -1
    K[:, 0, 2] += views.image_size[1] - 1
    return _pictures_changed(views, lambda picture: picture.flip(-1)).replace(K=K)


def pad_to_largest(arrays: Sequence[Shaped[np.ndarray, "..."]]) -> Shaped[np.ndarray, "view ..."]:
    """Stack arrays [height width ...] of unequal sizes, filled up with zeros at the right and at the bottom."""
    height, width = np.max([array.shape[:2] for array in arrays], axis=0)
    if all(array.shape[:2] == (height, width) for array in arrays):
        return np.stack(arrays)
    stacked = np.zeros((len(arrays), height, width, *arrays[0].shape[2:]), arrays[0].dtype)
    for row, array in enumerate(arrays):
        stacked[row, : array.shape[0], : array.shape[1]] = array
    return stacked


def fill_up(views: Views, height: int, width: int) -> Views:
    """Fill views up to at least height × width: black, background and of unknown depth at the right and bottom."""
    padding = (0, max(0, width - views.image_size[1]), 0, max(0, height - views.image_size[0]))
    return _pictures_changed(views, lambda picture: functional.pad(picture, padding)) if any(padding) else views


def pad_by_reflection(views: Views, multiple: int) -> Views:
    """Pad images and depths at the right and bottom to sides that are multiples; cameras stay as they are.

    Raises:
        DatasetError: a side is so small that there is nothing to reflect.
    """
    height, width = views.image_size
    padding = (0, -width % multiple, 0, -height % multiple)
    if not any(padding):
        return views
    if padding[1] >= width or padding[3] >= height:
        raise DatasetError(
            f"images of {width}×{height} are too small to be padded by reflection to multiples of {multiple}: both "
            f"sides must have at least {multiple // 2 + 1} pixels. Open the scene in a larger size."
        )
    parts = ("images", "depths", "true_depths")
    return _pictures_changed(views, lambda picture: functional.pad(picture, padding, mode="reflect"), parts)


def _pictures_changed(views: Views, change: Callable[[Tensor], Tensor], parts: Sequence[str] = PICTURES) -> Views:
    there = {part: picture for part in parts if (picture := getattr(views, part)) is not None}
    return views.replace(**{part: change(picture) for part, picture in there.items()})
