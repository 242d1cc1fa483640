"""Augmentation of a batch's depth ranges and input depth maps, with the published sizes and probabilities.

What is drawn is drawn once for all views of a batch, but for the noise of depth maps, which each view has of its own.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor
from torch.nn import functional

from maskrf_core.datasets.batches.batch import Views

TIGHTENING_PROBABILITY, MARGIN_PROBABILITY = 0.5, 0.8
LARGEST, SMALLEST = 1.1, 0.9  # times the object's depths: what a tightened range always holds
MARGINS = (0.025, 0.1)
JITTER_PROBABILITY, JITTER = 0.05, 0.05


class MovedRectangle(NamedTuple):
    """A rectangle of a depth map that is moved, by shares of the range's length."""

    probability: float
    half_sides: tuple[float, float]  # shares of the object's extent, drawn apart in x and y
    offsets: tuple[float, float]  # nearer or farther, one for all pixels
    roughness: float  # up to which each pixel has its own offset beside that


FAR_OFF = MovedRectangle(0.25, (0.05, 0.1), (0.5, 1.0), 0.1)
A_LITTLE_OFF = MovedRectangle(0.5, (0.1, 0.2), (0.01, 0.05), 0.005)
ROUGH_PROBABILITY, ROUGHNESS = 0.5, 0.005  # of whole maps

ESTIMATED_PROBABILITY = 0.7
LEAST_TEXTURE = (0.002, 0.05)  # mean change between pixels of a grey picture in [0, 1]: with less, nothing is matched
TEXTURE_SIDE, PATCH_SIDES = 7, (5, 11, 25)  # pixels
LARGEST_LOSS = 0.6  # share of the pixels that is lost in patches beside that


def object_ranges(
    depths: Float[Tensor, "view 1 height width"], objects: Bool[Tensor, "view height width"]
) -> Float[Tensor, "view 2"]:
    """Return the smallest and largest known depth on each view's object; (inf, 0) where none is known."""
    known = objects & (depths[:, 0] > 0)
    nearest = torch.where(known, depths[:, 0], torch.inf).flatten(1).amin(dim=1)
    farthest = torch.where(known, depths[:, 0], 0).flatten(1).amax(dim=1)
    return torch.stack([nearest, farthest], dim=1)


def augment_object_ranges(
    ranges: Float[Tensor, "view 2"], objects: Float[Tensor, "view 2"], *, generator: np.random.Generator
) -> Float[Tensor, "view 2"]:
    """Tighten ranges around a rendered object with probability 0.5, then widen them with probability 0.8.

    Tightening multiplies every far by one factor, and divides every near by another, so that 0.9 and 1.1 times the
    object's depths (see `object_ranges`) stay inside in all views that know it. Where no view does, and in a range
    that would become empty, nothing is tightened. Widening leaves a margin of 2.5-10 % of near and of far.
    """
    near, far = ranges.unbind(dim=1)
    nearest, farthest = objects.unbind(dim=1)
    if generator.random() < TIGHTENING_PROBABILITY and (farthest > 0).any():
        least_far, least_near = float((LARGEST * farthest / far).max()), float((near / (SMALLEST * nearest)).max())
        by_far, by_near = (generator.uniform(least, 1) if least < 1 else 1.0 for least in (least_far, least_near))
        tightened = torch.stack([near / by_near, far * by_far], dim=1)
        ranges = torch.where(tightened[:, :1] < tightened[:, 1:], tightened, ranges)
    if generator.random() < MARGIN_PROBABILITY:
        nearer, farther = generator.uniform(*MARGINS, 2)
        ranges = ranges * torch.tensor([1 - nearer, 1 + farther], dtype=ranges.dtype)
    return ranges


def jitter_depth_ranges(ranges: Float[Tensor, "view 2"], *, generator: np.random.Generator) -> Float[Tensor, "view 2"]:
    """Widen ranges by up to 5 % of near and of far, both together, with probability 0.05."""
    if generator.random() >= JITTER_PROBABILITY:
        return ranges
    nearer, farther = generator.uniform(0, JITTER, 2)
    return ranges * torch.tensor([1 - nearer, 1 + farther], dtype=ranges.dtype)


def consistent_depth_ranges(ranges: Float[Tensor, "view 2"]) -> Float[Tensor, "view 2"]:
    """Make all depth ranges as long as the longest, around each one's centre; near keeps at least half of itself."""
    near, length = ranges[:, 0], ranges[:, 1] - ranges[:, 0]
    longest = length.max()
    nearer = torch.maximum(near - (longest - length) / 2, near / 2)
    return torch.stack([nearer, nearer + longest], dim=1)


def change_ranges(
    query: Views, references: Views, change: Callable[[Float[Tensor, "view 2"]], Float[Tensor, "view 2"]]
) -> tuple[Views, Views]:
    """Return the views after `change` of all their depth ranges together, the query's first."""
    ranges = change(torch.cat([query.depth_range, references.depth_range]))
    return query.replace(depth_range=ranges[:1]), references.replace(depth_range=ranges[1:])


def add_depth_noise(
    depths: Float[Tensor, "view 1 height width"],
    objects: Bool[Tensor, "view height width"],
    ranges: Float[Tensor, "view 2"],
    *,
    generator: np.random.Generator,
) -> Float[Tensor, "view 1 height width"]:
    """Make depth maps as a poor estimator leaves them: `FAR_OFF` and `A_LITTLE_OFF` on the object, rough as a whole.

    A rectangle lies around a random pixel of the object and moves what it holds of the object. Unknown depths (0) stay
    unknown. What would come nearer than half of near is put there, which the model takes for near all the same.
    """
    noisy = depths.numpy().copy()
    for depth, of_object, (near, far) in zip(noisy[:, 0], objects.numpy(), ranges.tolist(), strict=True):
        known = depth > 0
        offsets = np.zeros_like(depth)
        on_object = np.nonzero(of_object & known)
        for rectangle in (FAR_OFF, A_LITTLE_OFF) if len(on_object[0]) else ():
            if generator.random() < rectangle.probability:
                offsets[on_object] += moved_rectangle(*on_object, rectangle, generator=generator)
        if generator.random() < ROUGH_PROBABILITY:
            offsets += generator.uniform(-ROUGHNESS, ROUGHNESS, depth.shape).astype(np.float32)
        depth[known] = np.maximum(depth + offsets * (far - near), near / 2)[known]
    return torch.from_numpy(noisy)


def as_estimated(references: Views, *, generator: np.random.Generator) -> Views:
    """Leave exact depth maps as estimation from photographs does, with probability 0.7; what supervises stays exact.

    They are noisy as by `add_depth_noise`, and unknown (0) where the picture has little texture, and in patches. Made
    scenes alone would teach to trust every depth. (Ours; not of the published recipe.)
    """
    if references.depths is None or generator.random() >= ESTIMATED_PROBABILITY:
        return references
    known = references.depths[:, 0] > 0
    noisy = add_depth_noise(references.depths, known, references.depth_range, generator=generator)
    least = float(np.exp(generator.uniform(*np.log(LEAST_TEXTURE))))
    field = torch.from_numpy(generator.standard_normal(noisy.shape, dtype=np.float32))
    side = int(generator.choice(PATCH_SIDES))
    for _ in range(2):  # once would leave squares
        field = functional.avg_pool2d(field, side, stride=1, padding=side // 2)
    in_patches = field < field.quantile(generator.uniform(0, LARGEST_LOSS))
    lost = in_patches | (texture(references.images) < least)
    return references.replace(depths=torch.where(lost, 0, noisy))


def texture(images: Float[Tensor, "view 3 height width"]) -> Float[Tensor, "view 1 height width"]:
    """Return the mean change from pixel to pixel around each pixel, in x and y together, of grey pictures."""
    grey = functional.pad(images.mean(dim=1, keepdim=True), (0, 1, 0, 1), mode="replicate")
    change = grey.diff(dim=3)[:, :, :-1].abs() + grey.diff(dim=2)[:, :, :, :-1].abs()
    return functional.avg_pool2d(change, TEXTURE_SIDE, stride=1, padding=TEXTURE_SIDE // 2, count_include_pad=False)


def moved_rectangle(
    rows: Int[np.ndarray, "pixel"],
    columns: Int[np.ndarray, "pixel"],
    rectangle: MovedRectangle,
    *,
    generator: np.random.Generator,
) -> Float32[np.ndarray, "pixel"]:
    """Draw where the rectangle lies among the object's pixels, and return how far it moves each; outside of it 0."""
    centre = generator.integers(len(rows))
    half_width, half_height = generator.uniform(*rectangle.half_sides, 2) * (np.ptp(columns), np.ptp(rows))
    inside = (np.abs(columns - columns[centre]) <= half_width) & (np.abs(rows - rows[centre]) <= half_height)
    offset = (1 if generator.random() < 0.5 else -1) * generator.uniform(*rectangle.offsets)
    roughness = generator.uniform(-rectangle.roughness, rectangle.roughness, len(rows))
    return np.where(inside, offset + roughness, 0).astype(np.float32)
