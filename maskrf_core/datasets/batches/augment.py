"""Augmentation of a batch: its pictures with their cameras, its depth ranges and its input depth maps.

Whatever happens to an image happens to its camera, depth and mask: a point of the scene projects onto the same content
before and after. Sizes and probabilities are those of the published training; what it leaves open is said where it is
decided.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.support.errors import DatasetError

PICTURES = ("images", "masks", "depths", "true_depths")
MARGIN = (0.025, 0.1)  # share of an object's range that is left before and behind it
FLATTEST = 0.01  # an object's range is at least this share of the range it had, so that it never becomes empty
JITTER, JITTER_PROBABILITY = 0.05, 0.05
NOISY_REGIONS = ((0.25, (0.05, 0.1)), (0.5, (0.01, 0.05)))  # (probability, share of the object's pixels)
REGION_OFFSET = (0.5, 1.0)
GLOBAL_OFFSET, GLOBAL_PROBABILITY = 0.005, 0.5  # offsets are shares of the length of the view's depth range


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


def object_ranges(
    depths: Float[Tensor, "view 1 height width"], objects: Bool[Tensor, "view height width"]
) -> Float[Tensor, "view 2"]:
    """Return the smallest and largest known depth on each view's object; (0, 0) where none is known."""
    known = objects & (depths[:, 0] > 0)
    nearest = torch.where(known, depths[:, 0], torch.inf).flatten(1).amin(dim=1)
    farthest = torch.where(known, depths[:, 0], 0).flatten(1).amax(dim=1)
    return torch.stack([torch.where(farthest > 0, nearest, 0), farthest], dim=1)


def shrink_depth_ranges(
    ranges: Float[Tensor, "view 2"], objects: Float[Tensor, "view 2"], *, generator: np.random.Generator
) -> Float[Tensor, "view 2"]:
    """Move both ends of each range a random part of the way to the object, then leave a margin of 2.5-10 %.

    The object (see `object_ranges`) stays inside; near does not go below half of what the object left of it. A range
    whose object is unknown stays as it is.
    """
    way, margin = (
        torch.from_numpy(draw.astype(np.float32))
        for draw in (generator.random((len(ranges), 2)), generator.uniform(*MARGIN, (len(ranges), 2)))
    )
    outer = torch.stack([torch.minimum(ranges[:, 0], objects[:, 0]), torch.maximum(ranges[:, 1], objects[:, 1])], dim=1)
    near, far = (outer + way * (objects - outer)).unbind(dim=1)
    length = torch.maximum(far - near, FLATTEST * (outer[:, 1] - outer[:, 0]))
    nearer, farther = (margin * length[:, None]).unbind(dim=1)
    shrunk = torch.stack([torch.maximum(near - nearer, near / 2), far + farther], dim=1)
    return torch.where(objects[:, 1:] > 0, shrunk, ranges)


def jitter_depth_ranges(ranges: Float[Tensor, "view 2"], *, generator: np.random.Generator) -> Float[Tensor, "view 2"]:
    """Change near by up to ±5 % with probability 0.05, of each view by its own factor; likewise far.

    The two ends are drawn for themselves, each for all views at once (our reading of the published rule). A range
    that would become empty stays as it is.
    """
    factors = np.ones((len(ranges), 2), np.float32)
    for end in (0, 1):
        if generator.random() < JITTER_PROBABILITY:
            factors[:, end] = generator.uniform(1 - JITTER, 1 + JITTER, len(ranges))
    changed = ranges * torch.from_numpy(factors)
    return torch.where(changed[:, :1] < changed[:, 1:], changed, ranges)


def widen_depth_ranges(ranges: Float[Tensor, "view 2"]) -> Float[Tensor, "view 2"]:
    """Make all depth ranges as long as the longest, around each one's centre; near stays above half of what it was."""
    half = (ranges[:, 1] - ranges[:, 0]).max() / 2
    centre = ranges.mean(dim=1)
    return torch.stack([torch.maximum(centre - half, ranges[:, 0] / 2), centre + half], dim=1)


def add_depth_noise(
    depths: Float[Tensor, "view 1 height width"],
    objects: Bool[Tensor, "view height width"],
    ranges: Float[Tensor, "view 2"],
    *,
    generator: np.random.Generator,
) -> Float[Tensor, "view 1 height width"]:
    """Make depth maps as a poor estimator leaves them: regions of the object far off, all of it a little.

    Each view for itself: with probability 0.25 a region of 5-10 % of the object's pixels, with 0.5 a small one of
    1-5 %, is moved by 0.5-1 of the range, nearer or farther; with 0.5 the whole object by up to ±0.5 %. A region is a
    disc around a random pixel of the object, as far as the object fills it. Unknown depths stay unknown, and none
    comes nearer than half of near.
    """
    noisy = depths.numpy().copy()
    for view, (near, far) in enumerate(ranges.tolist()):
        depth = noisy[view, 0]
        rows, columns = np.nonzero(objects[view].numpy() & (depth > 0))
        if not len(rows):
            continue
        offsets, length = np.zeros(len(rows), np.float32), far - near
        for probability, shares in NOISY_REGIONS:
            if generator.random() < probability:
                count = max(1, round(generator.uniform(*shares) * len(rows)))
                centre = generator.integers(len(rows))
                distance = np.hypot(rows - rows[centre], columns - columns[centre])
                sign = 1 if generator.random() < 0.5 else -1
                offset = sign * generator.uniform(*REGION_OFFSET) * length
                offsets[np.argsort(distance, kind="stable")[:count]] += offset
        if generator.random() < GLOBAL_PROBABILITY:
            offsets += np.float32(generator.uniform(-GLOBAL_OFFSET, GLOBAL_OFFSET) * length)
        depth[rows, columns] = np.maximum(depth[rows, columns] + offsets, np.float32(near / 2))
    return torch.from_numpy(noisy)
