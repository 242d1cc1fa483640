"""Terms of the loss: pure functions of tensors, each weighted once, one sum.

A new term is a function and a line of `TERMS`: it is computed, logged and summed from then on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from maskrf_core.model.rendering import MaskedColours, MaskedFeatures, PassRendering


@dataclass(frozen=True)
class DepthSupervision:
    """Surfaces at some pixels of each reference view, in its normalised inverse depth: as decoded, and true."""

    coarse: Float[Tensor, "view pixel"]
    fine: Float[Tensor, "view pixel"]
    target: Float[Tensor, "view pixel"]
    counts: Bool[Tensor, "view pixel"] | None = None  # none: all pixels count
    each_view_alike: bool = False  # however many of its pixels count


@dataclass(frozen=True)
class StepResult:
    """All that the terms of a training step are computed from."""

    coarse: PassRendering
    fine: PassRendering
    masked: MaskedFeatures | MaskedColours | None
    colours: Float[Tensor, "ray 3"]  # true colours of the query rays
    depth: DepthSupervision | None = None  # where depth is supervised
    own_coarse_hits: Float[Tensor, "ray sample"] | None = None
    own_fine_hits: Float[Tensor, "ray fine_sample"] | None = None
    """Hit probabilities of the samples by the query's own map, in a per-scene training."""


def colour_loss(
    rgb: Float[Tensor, "ray 3"], truth: Float[Tensor, "ray 3"], ray_mask: Bool[Tensor, "ray"]
) -> Float[Tensor, ""]:
    """Sum the squared error over channels and average it over the rays that enough views see."""
    return ((rgb - truth).square().sum(dim=-1) * ray_mask).sum() / (ray_mask.sum() + 1e-3)


def depth_loss(
    predicted: Float[Tensor, "view pixel"],
    target: Float[Tensor, "view pixel"],
    counts: Bool[Tensor, "view pixel"] | None = None,
    *,
    each_view_alike: bool = False,
) -> Float[Tensor, ""]:
    """Average the squared error over the pixels that count: all together, or within each view and then over views."""
    error = (predicted - target).square()
    if counts is None:
        return error.mean()
    if each_view_alike:
        return ((error * counts).sum(dim=1) / (counts.sum(dim=1) + 1e-4)).mean()
    return (error * counts).sum() / (counts.sum() + 1e-4)


def consistency_loss(rendered: Float[Tensor, "ray sample"], own: Float[Tensor, "ray sample"]) -> Float[Tensor, ""]:
    """Return the cross-entropy of rendered hit probabilities, which get no gradient, and the query view's own ones."""
    hit = rendered.detach()
    return -(hit * torch.log(own + 1e-5) + (1 - hit) * torch.log(1 - own + 1e-5)).mean(dim=1).mean()


def feature_alignment_loss(masked: MaskedFeatures) -> Float[Tensor, ""]:
    """Average 2 - 2 cos(target, prediction) over all coarse samples: 0 if aligned, 4 if opposed."""
    return (2 - 2 * functional.cosine_similarity(masked.prediction, masked.target, dim=-1)).mean()


def masked_colour_loss(masked: MaskedColours) -> Float[Tensor, ""]:
    """Sum the squared error over channels and average it over all coarse samples."""
    return (masked.prediction - masked.target).square().sum(dim=-1).mean()


class Term(NamedTuple):
    """One raw term of the loss."""

    of: Callable[[StepResult], Float[Tensor, ""] | None]  # none where the step has nothing that it is of
    weight: float = 1.0
    of_masked: bool = False  # weighted by λ and its ramp as well: what masked features predict


def _direct(rendered: PassRendering, truth: Float[Tensor, "ray 3"]) -> Float[Tensor, ""] | None:
    return None if rendered.direct_rgb is None else colour_loss(rendered.direct_rgb, truth, rendered.ray_mask)


def _depth(step: StepResult, predicted: str) -> Float[Tensor, ""] | None:
    depth = step.depth
    if depth is None:
        return None
    return depth_loss(getattr(depth, predicted), depth.target, depth.counts, each_view_alike=depth.each_view_alike)


def _consistency(rendered: PassRendering, own: Float[Tensor, "ray sample"] | None) -> Float[Tensor, ""] | None:
    return None if own is None else consistency_loss(rendered.hit_probability, own)


def _masked(
    masked: MaskedFeatures | MaskedColours | None, kind: type, loss: Callable[..., Float[Tensor, ""]]
) -> Float[Tensor, ""] | None:
    return loss(masked) if isinstance(masked, kind) else None


TERMS: dict[str, Term] = {
    "colour_coarse": Term(lambda step: colour_loss(step.coarse.rgb, step.colours, step.coarse.ray_mask)),
    "colour_fine": Term(lambda step: colour_loss(step.fine.rgb, step.colours, step.fine.ray_mask)),
    "colour_direct_coarse": Term(lambda step: _direct(step.coarse, step.colours)),
    "colour_direct_fine": Term(lambda step: _direct(step.fine, step.colours)),
    "depth_coarse": Term(lambda step: _depth(step, "coarse")),
    "depth_fine": Term(lambda step: _depth(step, "fine")),
    "consistency_coarse": Term(lambda step: _consistency(step.coarse, step.own_coarse_hits)),
    "consistency_fine": Term(lambda step: _consistency(step.fine, step.own_fine_hits)),
    "feature_alignment": Term(
        lambda step: _masked(step.masked, MaskedFeatures, feature_alignment_loss), of_masked=True
    ),
    "masked_colour": Term(lambda step: _masked(step.masked, MaskedColours, masked_colour_loss), 1.0, True),
}
"""By the names that they are logged under; summed in this order."""


def raw_terms(step: StepResult) -> dict[str, Float[Tensor, ""]]:
    """Compute all terms that the step has something for, not weighted."""
    terms = {name: term.of(step) for name, term in TERMS.items()}
    return {name: term for name, term in terms.items() if term is not None}


def ramp(step: int, *, start: int, warmup: int) -> float:
    """Return 0 before `start`, then rise linearly to 1 over `warmup` steps."""
    if step < start:
        return 0.0
    return min(1.0, (step - start) / warmup) if warmup > 0 else 1.0


def weighted_sum(terms: dict[str, Float[Tensor, ""]], masked_weight: float) -> Float[Tensor, ""]:
    """Sum the terms by their weights; those of what masked features predict by `masked_weight` (λ · ramp) as well."""
    weights = {name: TERMS[name].weight * (masked_weight if TERMS[name].of_masked else 1.0) for name in terms}
    return sum(weights[name] * term for name, term in terms.items())
