"""The types of what comes out of the networks and of the renderer, and compositing from one to the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

Mask = Bool[Tensor, "view ray sample"]  # True where a sample of a ray is masked in a view


class PointPrediction(NamedTuple):
    """Prediction of the aggregation for every sample."""

    scene_features: Float[Tensor, "ray sample channel"]
    density: Float[Tensor, "ray sample"]
    """Not negative; 0 where no view is valid. Alpha is 1 - exp(-density): if an interval counts, it is in it."""
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


class Composited(NamedTuple):
    """What `volume_render` makes of the samples of each ray, where the pass has made it already."""

    rgb: Float[Tensor, "ray 3"]
    depth: Float[Tensor, "ray"]
    hit_probability: Float[Tensor, "ray sample"]


def hit_probability_of(alpha: Float[Tensor, "ray sample"]) -> Float[Tensor, "ray sample"]:
    """Multiply each alpha by the product of 1 - alpha + 1e-10 over the samples before it (front to back)."""
    passes = torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha[:, :-1] + 1e-10], dim=1)
    return alpha * passes.cumprod(dim=1)


def volume_render(
    points: PointPrediction,
    depths: Float[Tensor, "ray sample"],
    ray_mask: Bool[Tensor, "ray"],
    direct_rgb: Float[Tensor, "ray 3"] | None = None,
    *,
    background: float | None = None,
) -> PassRendering:
    """Alpha-composite the samples from front to back, and a background behind them; the rest is handed through.

    alpha = 1 - exp(-density), without an interval length, as IBRNet's checkpoints and those after it are trained.
    """
    hit_probability = hit_probability_of(1 - torch.exp(-points.density))
    rgb = (hit_probability[..., None] * points.colours).sum(dim=1)
    if background is not None:
        rgb = rgb + background * (1 - hit_probability.sum(dim=1, keepdim=True))
    depth = (hit_probability * depths).sum(dim=1)
    return PassRendering(rgb, depth, hit_probability, depths, ray_mask, direct_rgb)


def hits_at(
    hit_probability: Float[Tensor, "ray coarse_sample"],
    coarse_positions: Int64[Tensor, "ray coarse_sample"],
    samples: int,
) -> Float[Tensor, "ray {samples}"]:
    """Return at each fine sample the hit probability of the last coarse sample up to it; of the first before that."""
    index = torch.arange(samples, device=coarse_positions.device).expand(len(coarse_positions), -1).contiguous()
    last = torch.searchsorted(coarse_positions.contiguous(), index, right=True) - 1
    return hit_probability.gather(1, last.clamp(min=0))


def concatenate_passes(passes: Sequence[PassRendering]) -> PassRendering:
    """Join one pass over some rays after the other."""
    parts = {name: [getattr(part, name) for part in passes] for name in PassRendering.__dataclass_fields__}
    return PassRendering(**{name: torch.cat(of) for name, of in parts.items() if of[0] is not None})


def concatenate(renderings: list[Rendering]) -> Rendering:
    """Join unmasked renderings into one of all their rays, in order."""
    coarse, fine = zip(*((part.coarse, part.fine) for part in renderings), strict=True)
    return Rendering(concatenate_passes(coarse), concatenate_passes(fine))
