"""The types of what comes out of the networks and of the renderer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Mask = Bool[Tensor, "view ray sample"]  # True where a sample of a ray is masked in a view


class PointPrediction(NamedTuple):
    """Prediction of the aggregation for every sample."""

    scene_features: Float[Tensor, "ray sample channel"]
    density: Float[Tensor, "ray sample"]
    """Not negative; 0 where no view is valid. Alpha is 1 - exp(-density): an interval length, if one counts, is in it."""
    colours: Float[Tensor, "ray sample 3"]


@dataclass(frozen=True)
class PassRendering:
    """One pass, coarse or fine, over the query rays."""

    rgb: Float[Tensor, "ray 3"]
    depth: Float[Tensor, "ray"]  # expected z-depth: 0 where the ray hits nothing
    hit_probability: Float[Tensor, "ray sample"]
    sample_depths: Float[Tensor, "ray sample"]
    ray_mask: Bool[Tensor, "ray"]
    """True where enough views see the ray (of the coarse pass, for both) for its colour to be supervised."""
    direct_rgb: Float[Tensor, "ray 3"] | None = None
    """Colours by the direct head, where it is on: near [0, 1], not clipped."""


@dataclass(frozen=True)
class MaskedPrediction:
    """The mask that was drawn, and predicted and target features, or colours, of the coarse samples."""

    mask: Mask
    prediction: Float[Tensor, "ray coarse_sample channel"]
    target: Float[Tensor, "ray coarse_sample channel"]
    of: Literal["scene_feature", "colour", "raw", "normalised"] = "scene_feature"


@dataclass(frozen=True)
class Rendering:
    """Coarse and fine pass over the same rays; `masked` only where features were masked."""

    coarse: PassRendering
    fine: PassRendering
    masked: MaskedPrediction | None = None


def hit_probability_of(alpha: Float[Tensor, "ray sample"]) -> Float[Tensor, "ray sample"]:
    """Multiply each alpha by the product of 1 - alpha + 1e-10 over the samples before it (front to back)."""
    passes = torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha[:, :-1] + 1e-10], dim=1)
    return alpha * passes.cumprod(dim=1)


def concatenate_passes(passes: Sequence[PassRendering]) -> PassRendering:
    """Join one pass over some rays after the other."""
    parts = {name: [getattr(part, name) for part in passes] for name in PassRendering.__dataclass_fields__}
    return PassRendering(**{name: torch.cat(of) for name, of in parts.items() if of[0] is not None})


def concatenate(renderings: list[Rendering]) -> Rendering:
    """Join unmasked renderings into one of all their rays, in order."""
    coarse, fine = zip(*((part.coarse, part.fine) for part in renderings), strict=True)
    return Rendering(concatenate_passes(coarse), concatenate_passes(fine))
