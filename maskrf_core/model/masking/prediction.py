"""Masked modelling: prediction from masked features, and the target that follows.

Yang et al., Mask-based Modeling for Neural Radiance Fields, ICLR 2024, arXiv 2304.04962. The target that follows its
online twin is BYOL's (arXiv 2006.07733). Masks are drawn by `strategies`.
"""

import copy

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from maskrf_core.model.rendering import Mask, MaskedPrediction, PointPrediction
from maskrf_core.settings.sections import MaskingSettings
from maskrf_core.support.errors import SettingsError


class MaskedModelling(nn.Module):
    """Projector and predictor of the fine scene features, and the target projector of the coarse ones.

    All parts are there whatever the settings say is used, so that all checkpoints have the same weights.
    """

    def __init__(self, settings: MaskingSettings | None = None, heads: tuple[int, int, int] = (16, 16, 16)):
        """Make the heads for features of `heads[0]` channels, with as many hidden and projected ones as the others say.

        Raises:
            SettingsError: predictions would have other channels than what is predicted.
        """
        super().__init__()
        self.settings = settings or MaskingSettings()
        features, hidden, projected = heads
        self._check(features, projected)
        self.projector = _projection_head(features, hidden, projected)
        self.predictor = _projection_head(projected, hidden, projected)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)
        # The youngest part: made without a draw, it leaves all weights what they were without it.
        self.colour_head = nn.utils.skip_init(nn.Linear, features, 3)
        nn.init.zeros_(self.colour_head.weight)
        nn.init.zeros_(self.colour_head.bias)

    def _check(self, features: int, projected: int) -> None:
        settings = self.settings
        if features != projected and (settings.target in ("raw", "normalised") or not settings.projector):
            raise SettingsError(
                f"masking.target={settings.target}, masking.projector={str(settings.projector).lower()}: this "
                f"aggregator's features have {features} channels and predictions {projected}. Predict scene_feature "
                "with a projector, or colour."
            )

    def forward(
        self,
        mask: Mask,
        fine: PointPrediction,
        coarse: PointPrediction,
        coarse_positions: Int64[Tensor, "ray coarse_sample"],
    ) -> MaskedPrediction:
        """Predict the unmasked coarse pass from the masked fine one, at the coarse samples.

        `coarse_positions` are the places of those among the fine ones.
        """
        if self.settings.target == "colour":
            of_fine, target = self.colour_head(fine.scene_features), coarse.colours.detach()
        elif self.settings.target in ("raw", "normalised"):
            of_fine, target = self.predict(fine.scene_features), coarse.scene_features.detach()
            if self.settings.target == "normalised":
                target = functional.layer_norm(target, target.shape[-1:])
        else:
            of_fine, target = self.predict(fine.scene_features), self.target(coarse.scene_features)
        at_coarse = coarse_positions[..., None].expand(-1, -1, of_fine.shape[-1])
        return MaskedPrediction(mask, of_fine.gather(1, at_coarse), target, self.settings.target)

    def predict(self, fine_features: Float[Tensor, "ray sample _"]) -> Float[Tensor, "ray sample _"]:
        """Predict coarse features from masked fine ones. All rows share the batch statistics."""
        rows = fine_features.flatten(0, 1)
        rows = self.projector(rows) if self.settings.projector else rows
        rows = self.predictor(rows) if self.settings.predictor else rows
        return rows.view(*fine_features.shape[:2], -1)

    @torch.no_grad()
    def target(self, coarse_features: Float[Tensor, "ray sample _"]) -> Float[Tensor, "ray sample _"]:
        """Return the features to be predicted; no gradient flows through them."""
        if not self.settings.projector:
            return coarse_features.detach()
        projector = self.target_projector if self.settings.ema_target else self.projector
        return projector(coarse_features.flatten(0, 1)).view(*coarse_features.shape[:2], -1)

    @torch.no_grad()
    def update_target(self, decay: float) -> None:
        """Let the target projector's parameters keep this share of themselves, and take the rest from the projector's.

        Running statistics are not touched.
        """
        for target, online in zip(self.target_projector.parameters(), self.projector.parameters(), strict=True):
            target.lerp_(online, 1 - decay)


def _projection_head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs))
