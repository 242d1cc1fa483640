"""From how opaque the samples of a ray are to how likely it ends at each."""

import torch
from jaxtyping import Float
from torch import Tensor


def hit_probability_of(alpha: Float[Tensor, "ray sample"]) -> Float[Tensor, "ray sample"]:
    """A sample's alpha times the product of 1 - alpha + 1e-10 over the samples before it (front to back)."""
    passes = torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha[:, :-1] + 1e-10], dim=1)
    return alpha * passes.cumprod(dim=1)
