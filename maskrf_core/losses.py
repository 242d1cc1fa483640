"""Terms of the loss: pure functions of tensors, each weighted once, one sum.

A new term is a function and a line of `TERMS`: it is computed, logged and summed from then on.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from maskrf_core.model.rendering import MaskedPrediction, PassRendering

Loss = Float[Tensor, ""]  # all functions return None where a step has nothing that they are of


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
    masked: MaskedPrediction | None
    colours: Float[Tensor, "ray 3"]  # true colours of the query rays
    depth: DepthSupervision | None = None  # where depth is supervised
    own_coarse_hits: Float[Tensor, "ray sample"] | None = None  # by the query's own map, in a per-scene training
    own_fine_hits: Float[Tensor, "ray fine_sample"] | None = None
    mean_over_channels: bool = False  # of the colour loss, as the aggregator was published


def colour_loss(
    rgb: Float[Tensor, "ray 3"] | None,
    truth: Float[Tensor, "ray 3"],
    ray_mask: Bool[Tensor, "ray"],
    *,
    mean_over_channels: bool = False,
) -> Loss | None:
    """Sum the squared error over channels, or average it, and average it over the rays that enough views see."""
    if rgb is None:
        return None
    error = ((rgb - truth).square().sum(dim=-1) * ray_mask).sum()
    return error / (3 * ray_mask.sum() + 1e-6) if mean_over_channels else error / (ray_mask.sum() + 1e-3)


def _colour_of(step: StepResult, rendered: PassRendering, rgb: Float[Tensor, "ray 3"] | None) -> Loss | None:
    return colour_loss(rgb, step.colours, rendered.ray_mask, mean_over_channels=step.mean_over_channels)


def depth_loss(depth: DepthSupervision | None, rendered: Literal["coarse", "fine"]) -> Loss | None:
    """Average the squared error over the pixels that count: all together, or within each view and then over views."""
    if depth is None:
        return None
    error = (getattr(depth, rendered) - depth.target).square()
    if depth.counts is None:
        return error.mean()
    if depth.each_view_alike:
        return ((error * depth.counts).sum(dim=1) / (depth.counts.sum(dim=1) + 1e-4)).mean()
    return (error * depth.counts).sum() / (depth.counts.sum() + 1e-4)


def consistency_loss(rendered: Float[Tensor, "ray sample"], own: Float[Tensor, "ray sample"] | None) -> Loss | None:
    """Return the cross-entropy of rendered hit probabilities, which get no gradient, and the query view's own ones."""
    if own is None:
        return None
    hit = rendered.detach()
    return -(hit * torch.log(own + 1e-5) + (1 - hit) * torch.log(1 - own + 1e-5)).mean(dim=1).mean()


def feature_alignment_loss(masked: MaskedPrediction | None) -> Loss | None:
    """Average 2 - 2 cos(target, prediction) over all coarse samples: 0 if aligned, 4 if opposed."""
    if masked is None or masked.of != "scene_feature":
        return None
    return feature_distance(masked).mean()


def feature_distance(masked: MaskedPrediction) -> Float[Tensor, "ray coarse_sample"]:
    """Return 2 - 2 cos(target, prediction) of each coarse sample: 0 if aligned, 4 if opposed."""
    return 2 - 2 * functional.cosine_similarity(masked.prediction, masked.target, dim=-1)


def chance_alignment(masked: MaskedPrediction | None) -> Loss | None:
    """Return the alignment with the targets of another ray, which what is predicted of this one should not reach."""
    if masked is None or masked.of != "scene_feature":
        return None
    others = replace(masked, prediction=masked.prediction.detach(), target=masked.target.roll(1, dims=0))
    return feature_alignment_loss(others)


def masked_colour_loss(masked: MaskedPrediction | None) -> Loss | None:
    """Sum the squared error over channels and average it over all coarse samples."""
    if masked is None or masked.of != "colour":
        return None
    return (masked.prediction - masked.target).square().sum(dim=-1).mean()


def masked_feature_loss(masked: MaskedPrediction | None) -> Loss | None:
    """Average the squared error over channels and all coarse samples."""
    if masked is None or masked.of not in ("raw", "normalised"):
        return None
    return (masked.prediction - masked.target).square().mean()


class Term(NamedTuple):
    """One raw term of the loss."""

    of: Callable[[StepResult], Loss | None]  # none where the step has nothing that it is of
    weight: float = 1.0
    of_masked: bool = False  # weighted by λ and its ramp as well: what masked features predict


TERMS: dict[str, Term] = {
    "colour_coarse": Term(lambda step: _colour_of(step, step.coarse, step.coarse.rgb)),
    "colour_fine": Term(lambda step: _colour_of(step, step.fine, step.fine.rgb)),
    "colour_direct_coarse": Term(lambda step: _colour_of(step, step.coarse, step.coarse.direct_rgb)),
    "colour_direct_fine": Term(lambda step: _colour_of(step, step.fine, step.fine.direct_rgb)),
    "depth_coarse": Term(lambda step: depth_loss(step.depth, "coarse")),
    "depth_fine": Term(lambda step: depth_loss(step.depth, "fine")),
    "consistency_coarse": Term(lambda step: consistency_loss(step.coarse.hit_probability, step.own_coarse_hits)),
    "consistency_fine": Term(lambda step: consistency_loss(step.fine.hit_probability, step.own_fine_hits)),
    "feature_alignment": Term(lambda step: feature_alignment_loss(step.masked), of_masked=True),
    "chance_alignment": Term(lambda step: chance_alignment(step.masked), weight=0.0),  # looked at, not minimised
    "masked_colour": Term(lambda step: masked_colour_loss(step.masked), of_masked=True),
    "masked_feature": Term(lambda step: masked_feature_loss(step.masked), of_masked=True),
}
"""By the names that they are logged under; summed in this order."""


def raw_terms(step: StepResult) -> dict[str, Loss]:
    """Compute all terms that the step has something for, not weighted."""
    terms = {name: term.of(step) for name, term in TERMS.items()}
    return {name: term for name, term in terms.items() if term is not None}


def ramp(step: int, *, start: int, warmup: int) -> float:
    """Return 0 before `start`, then rise linearly to 1 over `warmup` steps."""
    if step < start:
        return 0.0
    return min(1.0, (step - start) / warmup) if warmup > 0 else 1.0


def with_total(terms: dict[str, Loss], masked_weight: float | Loss) -> dict[str, Loss]:
    """Return the terms after their weighted sum, which is called `total`."""
    return {"total": weighted_sum(terms, masked_weight)} | terms


def weighted_sum(terms: dict[str, Loss], masked_weight: float | Loss) -> Loss:
    """Sum the terms by their weights; those of what masked features predict by `masked_weight` (λ · ramp) as well."""
    weights = {name: TERMS[name].weight * (masked_weight if TERMS[name].of_masked else 1.0) for name in terms}
    return sum(weights[name] * term for name, term in terms.items())
