"""Masked ray and view modelling: what is masked, what is predicted, and the target that follows.

Yang et al., Mask-based Modeling for Neural Radiance Fields, ICLR 2024, arXiv 2304.04962. The target that follows its
online twin is BYOL's (arXiv 2006.07733).

A mask is True where a (view, sample) is masked, everywhere.
"""

import copy

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskrf_core.settings import MaskingSettings

EMA_DECAY = 0.99
"""Share of itself that the target projector keeps in a step."""


def draw_mask(
    views: int, rays: int, samples: int, mask_ratio: float, *, generator: torch.Generator
) -> Bool[Tensor, "{views} {rays} {samples}"]:
    """Choose `int(samples * mask_ratio)` samples on each ray, and at each of them 1 to all views, to be masked.

    Samples are chosen uniformly without replacement; the number of views is uniform in 1 … views, and then which ones.
    The mask is on the generator's device.
    """
    device = generator.device
    chosen = torch.rand(rays, samples, generator=generator, device=device).argsort(dim=1) < int(samples * mask_ratio)
    views_masked = torch.randint(1, views + 1, (rays, samples), generator=generator, device=device)
    rank = torch.rand(views, rays, samples, generator=generator, device=device).argsort(dim=0)
    return chosen & (rank < views_masked)


class MaskedModelling(nn.Module):
    """Projector and predictor of the fine scene features, and the target projector of the coarse ones."""

    def __init__(self, settings: MaskingSettings | None = None):
        super().__init__()
        self.settings = settings or MaskingSettings()
        self.projector = _projection_head()
        self.predictor = _projection_head()
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)

    def predict(self, fine_features: Float[Tensor, "ray sample 16"]) -> Float[Tensor, "ray sample 16"]:
        """What the masked fine pass makes of the unmasked coarse one. All rows share the batch statistics."""
        return self.predictor(self.projector(fine_features.flatten(0, 1))).view_as(fine_features)

    @torch.no_grad()
    def target(self, coarse_features: Float[Tensor, "ray sample 16"]) -> Float[Tensor, "ray sample 16"]:
        """What is to be predicted; no gradient flows through it."""
        return self.target_projector(coarse_features.flatten(0, 1)).view_as(coarse_features)

    @torch.no_grad()
    def update_target(self) -> None:
        """Move the target projector's parameters 1 % of the way to the projector's; its running statistics are its
        own."""
        for target, online in zip(self.target_projector.parameters(), self.projector.parameters(), strict=True):
            target.lerp_(online, 1 - EMA_DECAY)


def _projection_head(channels: int = 16) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(channels, channels), nn.BatchNorm1d(channels), nn.ReLU(), nn.Linear(channels, channels)
    )
