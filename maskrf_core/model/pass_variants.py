"""The same pass computed otherwise: compiled, in fewer bits, or once more in the backward pass instead of remembered.

Each has the weights of the pass that it is made of, and gives what that one gives but for rounding.
"""

import copy
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from maskrf_core.model.aggregation import PointPrediction
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures
from maskrf_core.model.render_pass import PassPrediction, RenderPass
from maskrf_core.model.thinning import Chosen

MOST_COMPILATIONS = 64
"""That torch keeps of one function, before it silently computes it uncompiled: of either pass, for each size of the
pictures and number of views."""


class CompiledPass(nn.Module):
    """A pass compiled for exactly `rays` rays at once, to which fewer are filled up.

    The first call takes a minute, and so does that with reference views of another size or number.
    """

    def __init__(self, render_pass: RenderPass, rays: int):
        super().__init__()
        self.rays = rays
        self.compiled = torch.compile(render_pass, dynamic=False)

    def forward(
        self,
        features: ReferenceFeatures,
        rays: QueryRays,
        depths: Float[Tensor, "ray sample"],
        *,
        mask: Bool[Tensor, "view ray sample"] | None,
        chosen: Chosen | None = None,
    ) -> PassPrediction:
        """As `RenderPass`, of at most `self.rays` rays; `mask` must be None.

        Raises:
            ValueError: there is a mask, or more rays.
        """
        count = len(depths)
        if mask is not None or count > self.rays:
            raise ValueError(f"{count} rays, masked: {mask is not None}; compiled for {self.rays} that are not")

        def filled(part: Tensor) -> Tensor:
            return torch.cat([part, part[-1:].expand(self.rays - count, *part.shape[1:])])

        # Always, also where nothing is filled up: what lies otherwise in memory would be compiled anew.
        rays, depths = rays._replace(directions=filled(rays.directions)), filled(depths)
        chosen = None if chosen is None else Chosen(*map(filled, chosen))
        with torch._dynamo.config.patch(recompile_limit=MOST_COMPILATIONS):
            prediction = self.compiled(features, rays, depths, mask=None, chosen=chosen)
        return first_rays(prediction, count)


def first_rays(prediction: PassPrediction, count: int) -> PassPrediction:
    """What a pass said of its first rays."""
    valid, points, direct = prediction
    return PassPrediction(
        valid[:, :count],
        PointPrediction(*(part[:count] for part in points)),
        None if direct is None else direct[:count],
    )


class RecomputedPass(nn.Module):
    """A pass that remembers little: `rays` rays at a time, its networks run once more in the backward pass."""

    def __init__(self, render_pass: RenderPass, rays: int):
        super().__init__()
        self.rays = rays
        self.render_pass = render_pass

    def forward(
        self,
        features: ReferenceFeatures,
        rays: QueryRays,
        depths: Float[Tensor, "ray sample"],
        *,
        mask: Bool[Tensor, "view ray sample"] | None,
    ) -> PassPrediction:
        """As `RenderPass`."""
        directions, depths = rays.directions.split(self.rays), depths.split(self.rays)
        masks = [None] * len(depths) if mask is None else mask.split(self.rays, dim=1)
        parts = zip(directions, depths, masks, strict=True)
        recomputed = partial(recompute, self.render_pass, features, use_reentrant=False, preserve_rng_state=False)
        return joined([
            recomputed(rays._replace(directions=some), at, mask=of_some) for some, at, of_some in parts
        ])  # fmt: skip


def joined(predictions: list[PassPrediction]) -> PassPrediction:
    """What a pass said of all rays, from what it said of some after the others."""
    valid, points, direct = zip(*predictions, strict=True)
    return PassPrediction(
        torch.cat(valid, dim=1),
        PointPrediction(*map(torch.cat, zip(*points, strict=True))),
        None if direct[0] is None else torch.cat(direct),
    )


def in_bfloat16(render_pass: RenderPass) -> RenderPass:
    """A pass whose networks multiply in bfloat16; what is known of cameras and depths stays float32."""
    variant = copy.copy(render_pass)
    variant.network_precision = torch.bfloat16
    return variant
