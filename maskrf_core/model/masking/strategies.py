"""What is masked: one function a strategy, each of a generator alone.

Yang et al., Mask-based Modeling for Neural Radiance Fields, ICLR 2024, arXiv 2304.04962, masks rays and views; the
other strategies take that apart.

A mask is True where a (view, sample) is masked, everywhere. Masks are on the generator's device.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

from maskrf_core.settings.sections import MaskingSettings, MaskStrategy


def ray_and_view(
    views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator
) -> Bool[Tensor, "{views} {rays} {samples}"]:
    """Choose `int(samples * mask_ratio)` samples on each ray, and at each of them 1 to all views, to be masked.

    Samples are chosen uniformly without replacement; the number of views is uniform in 1 … views, and then which ones.
    """
    return _in_some_views(_scattered(rays, samples, mask_ratio, generator), views, generator)


def ray(
    views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator
) -> Bool[Tensor, "{views} {rays} {samples}"]:
    """Choose samples as `ray_and_view` does, and mask them in all views: nothing shows what is there."""
    return _scattered(rays, samples, mask_ratio, generator).expand(views, -1, -1)


def view(
    views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator
) -> Bool[Tensor, "{views} {rays} {samples}"]:
    """Choose `int(views * mask_ratio)` views for each ray, uniformly without replacement, and mask all its samples."""
    order = torch.rand(views, rays, generator=generator, device=generator.device).argsort(dim=0)
    return (order < int(views * mask_ratio))[..., None].expand(-1, -1, samples)


def block(
    views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator
) -> Bool[Tensor, "{views} {rays} {samples}"]:
    """As `ray_and_view`, but the chosen samples of a ray follow one another; each possible first one is as likely."""
    length, device = int(samples * mask_ratio), generator.device
    first = torch.randint(samples - length + 1, (rays, 1), generator=generator, device=device)
    index = torch.arange(samples, device=device)
    return _in_some_views((index >= first) & (index < first + length), views, generator)


STRATEGIES: dict[MaskStrategy, Callable[..., Bool[Tensor, "view ray sample"]]] = {
    "ray_and_view": ray_and_view,
    "ray": ray,
    "view": view,
    "block": block,
}


def draw_mask(
    strategy: MaskStrategy, views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator
) -> Bool[Tensor, "{views} {rays} {samples}"]:
    """Draw what a strategy masks."""
    return STRATEGIES[strategy](views, rays, samples, mask_ratio, generator=generator)


def draw_mask_ratio(masking: MaskingSettings, *, generator: torch.Generator) -> float:
    """The ratio of one step: `mask_ratio`, for which nothing is drawn, or uniform up to `largest_mask_ratio`.

    The end that may be left out is the smaller one, so that a range from 0 never means that nothing is asked for.
    """
    if masking.largest_mask_ratio is None:
        return masking.mask_ratio
    below = torch.rand((), generator=generator, device=generator.device).item()  # in [0, 1)
    return masking.largest_mask_ratio - below * (masking.largest_mask_ratio - masking.mask_ratio)


def masked_count(strategy: MaskStrategy, views: int, samples: int, mask_ratio: float) -> int:
    """How many samples of each ray are masked in at least one view; of the strategy `view`: how many views of it."""
    return int((views if strategy == "view" else samples) * mask_ratio)


def _scattered(rays: int, samples: int, mask_ratio: float, generator: torch.Generator) -> Bool[Tensor, "ray sample"]:
    """So many samples of each ray, uniformly without replacement."""
    order = torch.rand(rays, samples, generator=generator, device=generator.device).argsort(dim=1)
    return order < int(samples * mask_ratio)


def _in_some_views(
    chosen: Bool[Tensor, "ray sample"], views: int, generator: torch.Generator
) -> Bool[Tensor, "{views} ray sample"]:
    """Chosen samples in 1 to all views, each number as likely, whichever views they are."""
    masked = torch.randint(1, views + 1, chosen.shape, generator=generator, device=generator.device)
    rank = torch.rand(views, *chosen.shape, generator=generator, device=generator.device).argsort(dim=0)
    return chosen & (rank < masked)
