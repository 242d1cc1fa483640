"""Augmentation of depth ranges and input depth maps, so that the model bears those that are not exact.

Sizes and probabilities are those of the published training; what the publication leaves open is said where it is
decided.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskrf_core.datasets.batches.batch import Views

MARGIN = (0.025, 0.1)
"""Share of an object's range that is left before and behind it."""
FLATTEST = 0.01
"""An object's range is taken to be at least this share of the range it had, so that it never becomes empty."""
JITTER, JITTER_PROBABILITY = 0.05, 0.05
NOISY_REGIONS = ((0.25, (0.05, 0.1)), (0.5, (0.01, 0.05)))
"""(probability, share of the object's pixels) of the regions whose depth is put elsewhere."""
REGION_OFFSET = (0.5, 1.0)
GLOBAL_OFFSET, GLOBAL_PROBABILITY = 0.005, 0.5
"""Offsets are shares of the length of the view's depth range."""


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
        torch.from_numpy(draw.astype(np.float32)).unbind(dim=1)
        for draw in (generator.random((len(ranges), 2)), generator.uniform(*MARGIN, (len(ranges), 2)))
    )
    outer_near = torch.minimum(ranges[:, 0], objects[:, 0])
    outer_far = torch.maximum(ranges[:, 1], objects[:, 1])
    near = outer_near + way[0] * (objects[:, 0] - outer_near)
    far = outer_far + way[1] * (objects[:, 1] - outer_far)
    length = torch.maximum(far - near, FLATTEST * (outer_far - outer_near))
    shrunk = torch.stack([torch.maximum(near - margin[0] * length, near / 2), far + margin[1] * length], dim=1)
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


def widen_depth_ranges(query: Views, references: Views) -> tuple[Views, Views]:
    """Give all views of a batch depth ranges of one length: the longest, around each one's centre.

    Near does not go below half of what it was.
    """
    ranges = torch.cat([query.depth_range, references.depth_range])
    half = (ranges[:, 1] - ranges[:, 0]).max() / 2
    centre = ranges.mean(dim=1)
    widened = torch.stack([torch.maximum(centre - half, ranges[:, 0] / 2), centre + half], dim=1)
    return query.replace(depth_range=widened[:1]), references.replace(depth_range=widened[1:])


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
        offsets = _drawn_offsets(rows, columns, far - near, generator)
        depth[rows, columns] = np.maximum(depth[rows, columns] + offsets, np.float32(near / 2))
    return torch.from_numpy(noisy)


def _drawn_offsets(
    rows: np.ndarray, columns: np.ndarray, length: float, generator: np.random.Generator
) -> Float[np.ndarray, "pixel"]:
    offsets = np.zeros(len(rows), np.float32)
    for probability, shares in NOISY_REGIONS:
        if generator.random() < probability:
            count = max(1, round(generator.uniform(*shares) * len(rows)))
            centre = generator.integers(len(rows))
            distance = np.hypot(rows - rows[centre], columns - columns[centre])
            sign = 1 if generator.random() < 0.5 else -1
            offsets[np.argsort(distance, kind="stable")[:count]] += sign * generator.uniform(*REGION_OFFSET) * length
    if generator.random() < GLOBAL_PROBABILITY:
        offsets += np.float32(generator.uniform(-GLOBAL_OFFSET, GLOBAL_OFFSET) * length)
    return offsets
