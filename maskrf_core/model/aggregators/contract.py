"""The contract of an aggregator: from what the reference views hold at samples, and a mask, to what is composited.

All that renders, masks, trains or shows knows this file alone. An aggregator of your own is a subclass of `Aggregator`
anywhere; `model.aggregator` names it as `module:name`.
"""

import importlib
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, ViewSamples, gather_samples
from maskrf_core.model.layers import image_encoder
from maskrf_core.model.rendering import Mask, PointPrediction
from maskrf_core.model.sampling import RaySamples, coarse_depths, draw_fine_depths
from maskrf_core.model.visibility import PointVisibility
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import SettingsError

OF_NOTEBOOK = "__main__"  # module of what a notebook's own cells define
Rendered = Literal["coarse", "fine"]
BUILT_IN = {
    "neuray": "maskrf_core.model.aggregators.neuray:AggregationNetwork",
    "ibrnet": "maskrf_core.model.aggregators.ibrnet:IBRNet",
    "nerformer": "maskrf_core.model.aggregators.nerformer:NeRFormer",
    "nerformer_pooled": "maskrf_core.model.aggregators.nerformer:PooledNeRFormer",
}


class Heads(NamedTuple):
    """Channels of scene features, which are what masked modelling predicts, and of its projector and predictor."""

    features: int = 16
    hidden: int = 16
    projected: int = 16


class Aggregator(nn.Module):
    """One pass's network; `forward` alone must be written. What is said of the class holds for both passes."""

    heads: ClassVar[Heads] = Heads()
    needs_visibility: ClassVar[bool] = False
    """It wants the views' visibility, decoded from depth, cost volumes or free maps. Else none of these is made."""
    counts_in_more_views_than: ClassVar[int] = 2
    counts_at_more_samples_than: ClassVar[int] = 8
    """A ray's colour is supervised where more than 8 of its samples project into more than 2 views."""
    fine_rays_count_apart: ClassVar[bool] = False
    """The fine pass counts by its own samples; else by the coarse ones."""
    background: ClassVar[float | None] = None  # colour behind all samples: 1 is white, None black
    mean_over_channels: ClassVar[bool] = False  # of the colour loss, which else is a sum over them
    uses_dropout: ClassVar[bool] = False
    blends_colours: ClassVar[bool] = False  # of the photographs, by the weights of `weighed`; else it predicts colours
    masks_by_zeros = False  # zeros stand in for masked features in place of `mask_token`

    mask_token: Tensor  # learnable: what stands in for masked features

    def __init__(self, rendered: Rendered = "coarse"):
        super().__init__()
        self.rendered = rendered

    @classmethod
    def image_encoder(cls) -> nn.Module:
        """Make the encoder of the reference images: [view 3 height width] in [0, 1] → [view channel _ _]."""
        return image_encoder()

    @classmethod
    def coarse_depths(
        cls, rays: QueryRays, samples: int, generator: torch.Generator | None
    ) -> Float[Tensor, "ray {samples}"]:
        """Return the z-depths of the coarse pass, rising; random ones only with a generator, which training has.

        Without one they must be the same on every ray: `rendering.mode=adaptive` interpolates between rays.
        """
        return coarse_depths(rays.depth_range, len(rays.directions), samples)

    @classmethod
    def new_depths(
        cls,
        rays: QueryRays,
        depths: Float[Tensor, "ray sample"],
        hit_probability: Float[Tensor, "ray sample"],
        samples: int,
        generator: torch.Generator | None,
    ) -> Float[Tensor, "ray {samples}"]:
        """Return the z-depths that the fine pass adds, without a gradient; random ones only with a generator."""
        return draw_fine_depths(depths, hit_probability, rays.depth_range, samples, generator=generator)

    @classmethod
    def ray_mask(cls, seen_by: Int64[Tensor, "ray sample"]) -> Bool[Tensor, "ray"]:
        """Return which rays count, from the number of views that each sample projects into."""
        return (seen_by > cls.counts_in_more_views_than).sum(dim=1) > cls.counts_at_more_samples_than

    def look(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples
    ) -> tuple[tuple, Float[Tensor, "view ray sample"] | None]:
        """Return what every view holds at the samples, and their normalised inverse depth in it, for visibility.

        What the views hold may be any tuple, which `forward` gets; others look at its part `valid` [view ray sample].
        """
        return gather_samples(features, rays, samples.depths, ray_channels=32 if self.needs_visibility else 0)

    def forward(
        self, views: ViewSamples, visibility: PointVisibility | None, samples: RaySamples, *, mask: Mask | None
    ) -> PointPrediction:
        """Predict every sample; where `mask` is True, `masked` has replaced what the network thinks of a view there.

        Samples with a `weight` (of `rendering.mode=adaptive`) stand for so many of the ray.
        """
        raise NotImplementedError

    def weighed(
        self, views: ViewSamples, visibility: PointVisibility | None, samples: RaySamples, *, mask: Mask | None
    ) -> tuple[PointPrediction, Float[Tensor, "view ray sample"]]:
        """Predict, and return each view's weight in it, which is shown: equal ones unless an aggregator says more."""
        valid = views.valid.to(views.colours.dtype)
        return self(views, visibility, samples, mask=mask), valid / valid.sum(dim=0).clamp(min=1)

    def masked(
        self, features: Float[Tensor, "view ray sample channel"], mask: Mask | None
    ) -> Float[Tensor, "view ray sample channel"]:
        """Put the mask token, or zeros, in place of masked features. None masks nothing."""
        if mask is None:
            return features
        token = torch.zeros_like(self.mask_token) if self.masks_by_zeros else self.mask_token
        return torch.where(mask[..., None], token, features)


def find_aggregator(name: str) -> type[Aggregator]:
    """Return the class that `model.aggregator` names: one of `BUILT_IN`, or `module:name`, imported now.

    Raises:
        SettingsError: there is no such module or class here, or it is no `Aggregator`.
    """
    module, _, attribute = BUILT_IN.get(name, name).partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"model.aggregator={name!r}: cannot be imported ({error}). Known are {', '.join(BUILT_IN)}; one of your "
            "own is named module:name, and lies below the folder that this was started in."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Aggregator)):
        raise SettingsError(f"model.aggregator={name!r}: is no subclass of Aggregator ({Aggregator.__module__}).")
    return found


def check_other_process_has_aggregator(settings: ModelSettings) -> None:
    """Raise `SettingsError` if an aggregator is a class of this notebook, which no other process has."""
    if settings.aggregator.startswith(f"{OF_NOTEBOOK}:"):
        raise SettingsError(
            f"model.aggregator={settings.aggregator!r}: another process cannot import it. Train it by "
            "train(run, here=True), or put it into a module and name that one."
        )


def check_visibility(settings: ModelSettings, aggregator: type[Aggregator]) -> None:
    """Raise `SettingsError` where settings are about a visibility that the aggregator does not want."""
    about = {"direct_rendering": settings.direct_rendering, "free_maps": settings.free_maps is not None}
    about["visibility_init=cost_volume"] = settings.visibility_init == "cost_volume"
    if not aggregator.needs_visibility and (asked := [name for name, found in about.items() if found]):
        raise SettingsError(
            f"model.aggregator={settings.aggregator} uses no visibility, so model.{asked[0]} is not for it. Leave "
            "that, or take model.aggregator=neuray."
        )
