"""Masking strategies: functions that draw what is masked, from sizes, a ratio, a generator and, if asked for, hits.

Yang et al., Mask-based Modeling for Neural Radiance Fields, ICLR 2024, arXiv 2304.04962, masks rays and views; the
other strategies take that apart. A mask is True where a (view, sample) is masked, everywhere.

A strategy is any `function(views, rays, samples, mask_ratio, *, generator)` that returns a bool tensor
[view ray sample] on the generator's device. One that has a parameter `hit_probability` is also given that of the
coarse pass at the samples, [ray sample], without gradients. It may say, as its attribute `unit`, of what exactly
int(count * mask_ratio) are masked on each ray: "sample" (in at least one view) or "view". Without, the ratio means what
it makes of it. `masking.strategy` is a name of `STRATEGIES`, or `module:function` of anything that can be imported.
"""

import importlib
import inspect
from collections.abc import Callable
from difflib import get_close_matches

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskrf_core.settings.sections import MaskingSettings
from maskrf_core.support.errors import SettingsError

Mask = Bool[Tensor, "{views} {rays} {samples}"]
Strategy = Callable[..., Bool[Tensor, "view ray sample"]]
OF_NOTEBOOK = "__main__"  # module of functions that a notebook's own cells define: no other process has them
REMEDY = "Only its notebook has it: train there, by train(run, here=True), or put it into a module and name that one."


def ray_and_view(views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator) -> Mask:
    """Choose `int(samples * mask_ratio)` samples on each ray, and at each of them 1 to all views, to be masked.

    Samples are chosen uniformly without replacement; the number of views is uniform in 1 … views, and then which ones.
    """
    return _in_some_views(_scattered(rays, samples, mask_ratio, generator), views, generator)


def ray(views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator) -> Mask:
    """Choose samples as `ray_and_view` does, and mask them in all views: nothing shows what is there."""
    return _scattered(rays, samples, mask_ratio, generator).expand(views, -1, -1)


def view(views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator) -> Mask:
    """Choose `int(views * mask_ratio)` views for each ray, uniformly without replacement, and mask all its samples."""
    order = torch.rand(views, rays, generator=generator, device=generator.device).argsort(dim=0)
    return (order < int(views * mask_ratio))[..., None].expand(-1, -1, samples)


def block(views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator) -> Mask:
    """Mask as `ray_and_view` samples of a ray that follow one another; each possible first one is as likely."""
    length, device = int(samples * mask_ratio), generator.device
    first = torch.randint(samples - length + 1, (rays, 1), generator=generator, device=device)
    index = torch.arange(samples, device=device)
    return _in_some_views((index >= first) & (index < first + length), views, generator)


def near_surfaces(
    views: int,
    rays: int,
    samples: int,
    mask_ratio: float,
    *,
    hit_probability: Float[Tensor, "{rays} {samples}"],
    generator: torch.Generator,
) -> Mask:
    """Mask as `ray_and_view` samples that are drawn, without replacement, in proportion to where the coarse pass hit.

    A thousandth is added to each probability, so that a ray that hits nothing has its share of masked samples too.
    """
    # Whose exponential clock of this rate rings first, is drawn first: so many are drawn at once.
    waited = -torch.log1p(-torch.rand(rays, samples, generator=generator, device=generator.device))
    rank = (waited / (hit_probability.to(generator.device) + 1e-3)).argsort(dim=1).argsort(dim=1)
    return _in_some_views(rank < int(samples * mask_ratio), views, generator)


def nothing(views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator) -> Mask:
    """Mask nothing, whatever the ratio: what is left of pretraining is that the fine pass predicts the coarse one.

    It tells the effect of that from the one of masks, and is named `maskrf_core.model.masking.strategies:nothing`.
    """
    return torch.zeros((), dtype=torch.bool, device=generator.device).expand(views, rays, samples)


ray_and_view.unit = ray.unit = block.unit = near_surfaces.unit = "sample"
view.unit = "view"
STRATEGIES: dict[str, Strategy] = {
    "ray_and_view": ray_and_view,
    "ray": ray,
    "view": view,
    "block": block,
    "near_surfaces": near_surfaces,
}


def find_strategy(name: str) -> Strategy:
    """Return the function that `masking.strategy` names: one of `STRATEGIES`, or `module:function`, imported now.

    Raises:
        SettingsError: the name is unknown (with the nearest one), or there is no such module or function here.
    """
    module, colon, function = name.partition(":")
    if not colon:
        if name in STRATEGIES:
            return STRATEGIES[name]
        nearest = get_close_matches(name, STRATEGIES, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(STRATEGIES)}."
        raise SettingsError(f"masking.strategy={name!r}: unknown; {hint} One of your own is named module:function.")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        remedy = REMEDY if module == OF_NOTEBOOK else "Put it into a module below the folder that this was started in."
        raise SettingsError(f"masking.strategy={name!r}: cannot be imported ({error}). {remedy}") from error
    if not callable(found):
        raise SettingsError(f"masking.strategy={name!r}: is of type {type(found).__name__}, not a function.")
    return found


def check_other_process_has(masking: MaskingSettings) -> None:
    """Raise `SettingsError` if a training that masks needs a function of this notebook, which no other process has."""
    if masking.masks and masking.strategy.startswith(f"{OF_NOTEBOOK}:"):
        raise SettingsError(f"masking.strategy={masking.strategy!r}: another process cannot import it. {REMEDY}")


def draw_mask(
    strategy: str,
    views: int,
    rays: int,
    samples: int,
    mask_ratio: float,
    *,
    generator: torch.Generator,
    hit_probability: Float[Tensor, "{rays} {samples}"] | None = None,
) -> Mask:
    """Draw the mask of a strategy; where nothing was rendered, it is as likely everywhere that a ray hits.

    Raises:
        SettingsError: there is no such strategy, or what it returns is no mask.
    """
    function, hits = find_strategy(strategy), {}
    if "hit_probability" in inspect.signature(function).parameters:
        hits["hit_probability"] = torch.ones(rays, samples) if hit_probability is None else hit_probability
    mask = function(views, rays, samples, mask_ratio, generator=generator, **hits)

    def described(shape: tuple, dtype: torch.dtype, device: torch.device) -> str:
        return f"{str(dtype).removeprefix('torch.')} {list(shape)} on {device.type}"

    asked = described((views, rays, samples), torch.bool, generator.device)
    found = described(mask.shape, mask.dtype, mask.device) if isinstance(mask, Tensor) else type(mask).__name__
    if found != asked:
        raise SettingsError(
            f"masking.strategy={strategy!r}: returned {found}; it must return {asked}: [view ray sample], True where "
            "masked, on generator.device."
        )
    return mask


def draw_mask_ratio(masking: MaskingSettings, *, generator: torch.Generator) -> float:
    """Return the ratio of one step: `mask_ratio`, or drawn from (`mask_ratio`, `largest_mask_ratio`], so never 0."""
    if masking.largest_mask_ratio is None:
        return masking.mask_ratio
    if generator.device.type != "cpu":  # which would be waited for
        generator = torch.Generator().manual_seed(generator.initial_seed())
    below = torch.rand((), generator=generator).item()  # in [0, 1)
    return masking.largest_mask_ratio - below * (masking.largest_mask_ratio - masking.mask_ratio)


def unit_of(strategy: str) -> str | None:
    """Return of what the ratio is the share on each ray: "sample" or "view"; None where the strategy does not say."""
    unit = getattr(find_strategy(strategy), "unit", None)
    if unit not in ("sample", "view", None):
        raise SettingsError(f"masking.strategy={strategy!r}: its unit is {unit!r}; it must be 'sample' or 'view'.")
    return unit


def masked_count(strategy: str, views: int, samples: int, mask_ratio: float) -> int | None:
    """Return how many units (see `unit_of`) of each ray are masked; None where the strategy does not say."""
    unit = unit_of(strategy)
    return None if unit is None else int((samples if unit == "sample" else views) * mask_ratio)


def _scattered(rays: int, samples: int, mask_ratio: float, generator: torch.Generator) -> Bool[Tensor, "ray sample"]:
    """Choose so many samples of each ray, uniformly without replacement."""
    order = torch.rand(rays, samples, generator=generator, device=generator.device).argsort(dim=1)
    return order < int(samples * mask_ratio)


def _in_some_views(
    chosen: Bool[Tensor, "ray sample"], views: int, generator: torch.Generator
) -> Bool[Tensor, "{views} ray sample"]:
    """Mask chosen samples in 1 to all views, each number as likely, whichever views they are."""
    masked = torch.randint(1, views + 1, chosen.shape, generator=generator, device=generator.device)
    rank = torch.rand(views, *chosen.shape, generator=generator, device=generator.device).argsort(dim=0)
    return chosen & (rank < masked)
