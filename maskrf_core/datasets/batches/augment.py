"""Augmentation of the pictures of a batch. Whatever happens to an image happens to its camera, depth and mask:
a point of the scene projects onto the same content before and after."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped
from torch import Tensor
from torch.nn import functional

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.support.errors import DatasetError


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
    starts, sides = [], []
    for axis, side in enumerate((height, width)):
        of_images = [size[axis] for size in sizes]
        side = max(of_images) if side is None else side
        starts.append(int(generator.integers(max(0, min(of_images) - side) + 1)))
        sides.append(side)
    return Window(*starts, *sides)


def crop(views: Views, window: Window) -> Views:
    """Cut out the part of the views inside the window; the principal point moves with the window's corner."""
    rows = slice(window.top, window.top + window.height)
    columns = slice(window.left, window.left + window.width)
    K = views.K.clone()
    K[:, 0, 2] -= window.left
    K[:, 1, 2] -= window.top
    return _pictures_replaced(views, lambda picture: picture[..., rows, columns]).replace(K=K)


def flip(views: Views) -> Views:
    """Mirror views left to right, as images of the same scene by cameras whose x axis runs backwards.

    Pixel x becomes W - 1 - x: the first row of K is negated, then W - 1 is added to its principal point. The focal
    length in x is negative from then on; w2c stays.
    """
    K = views.K.clone()
    K[:, 0] *= -1
    K[:, 0, 2] += views.image_size[1] - 1
    return _pictures_replaced(views, lambda picture: picture.flip(-1)).replace(K=K)


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
    return _pictures_replaced(views, lambda picture: functional.pad(picture, padding)) if any(padding) else views


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
    depths, true_depths = (
        None if part is None else functional.pad(part, padding, mode="reflect")
        for part in (views.depths, views.true_depths)
    )
    images = functional.pad(views.images, padding, mode="reflect")
    return views.replace(images=images, depths=depths, true_depths=true_depths)


def _pictures_replaced(views: Views, change) -> Views:
    parts: dict[str, Tensor | None] = {
        name: getattr(views, name) for name in ("images", "masks", "depths", "true_depths")
    }
    return views.replace(**{name: change(part) for name, part in parts.items() if part is not None})
