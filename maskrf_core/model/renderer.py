"""SceneBatch → Rendering: the order of things, and the two passes in it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from maskrf_core.datasets.batches.batch import ModelInputs, SceneBatch, SourceViews, Views
from maskrf_core.model.aggregators.neuray import AggregationNetwork
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, ViewSamples, gather_samples, query_rays
from maskrf_core.model.layers import image_encoder, with_modules
from maskrf_core.model.masking.prediction import MaskedModelling
from maskrf_core.model.masking.strategies import draw_mask
from maskrf_core.model.rendering import Mask, PassRendering, PointPrediction, Rendering, concatenate, hit_probability_of
from maskrf_core.model.sampling import RaySamples, coarse_depths, draw_fine_depths, merge_depths
from maskrf_core.model.visibility import (
    DistributionDecoder,
    PointVisibility,
    SurfaceDistribution,
    VisibilityEncoder,
    direct_colours_of_rays,
    visibility_of_samples,
)
from maskrf_core.model.visibility_init import INIT_NETWORKS, FreeMaps
from maskrf_core.settings.sections import MaskingSettings, ModelSettings
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.machine import MapFunction

RAY_IS_SEEN_BY_MORE_THAN = 2
RAY_IS_SEEN_AT_MORE_THAN = 8
"""A ray is supervised where more than 8 coarse samples project into more than 2 views (as IBRNet does), so training
needs 3 reference views and 9 coarse samples at the least."""

SMALLEST_SIDE = 32
SIDES_ARE_MULTIPLES_OF = 4
"""Of reference images, in pixels: else nothing is left to normalise, or feature maps differ in size; best are 16s."""


class Composited(NamedTuple):
    """What `volume_render` makes of the samples of each ray, where the pass has made it already."""

    rgb: Float[Tensor, "ray 3"]
    depth: Float[Tensor, "ray"]
    hit_probability: Float[Tensor, "ray sample"]


class PassPrediction(NamedTuple):
    """Predictions of one pass for its samples."""

    seen_by: Int64[Tensor, "ray sample"]  # number of views that the sample projects into
    points: PointPrediction
    direct_rgb: Float[Tensor, "ray 3"] | None  # colours of the rays by the direct head, where it is on
    composited: Composited | None = None


class RenderPass(nn.Module):
    """The networks of one pass, coarse or fine: each view's part in a sample, and the prediction from all of them.

    With `direct_rendering`, the rays are also rendered from the visibility of the views alone.
    """

    network_precision: torch.dtype | None = None
    """What the networks multiply in (autocast). Cameras, depths, and what is composited stay what they are."""

    def __init__(self, *, direct_rendering: bool = False):
        super().__init__()
        self.direct_rendering = direct_rendering
        self.distribution_decoder = DistributionDecoder()
        self.aggregation = AggregationNetwork()

    def forward(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples, *, mask: Mask | None
    ) -> PassPrediction:
        """Look at the samples in every view and predict them; `mask` as in `AggregationNetwork`."""
        views, visibility = self.look(features, rays, samples)
        with self._in_network_precision(samples.depths.device):
            points = self.aggregation(views, visibility, samples, mask=mask)
        points = PointPrediction(*(part.to(samples.depths.dtype) for part in points))
        direct = None
        if self.direct_rendering:
            direct = direct_colours_of_rays(views, visibility, rays.towards_query, samples)
        return PassPrediction(views.valid.sum(dim=0), points, direct)

    def look(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples
    ) -> tuple[ViewSamples, PointVisibility]:
        """Gather what the views hold at the samples and decode how visible the samples are in them."""
        views, position = gather_samples(features, rays, samples.depths)
        with self._in_network_precision(position.device):
            distribution = self.distribution_decoder(views.ray_features)
        distribution = SurfaceDistribution(*(part.to(position.dtype) for part in distribution))
        return views, visibility_of_samples(distribution, position, samples, views.valid)

    def _in_network_precision(self, device: torch.device) -> AbstractContextManager:
        precision = self.network_precision
        return nullcontext() if precision is None else torch.autocast(device.type, precision, cache_enabled=False)


def volume_render(
    points: PointPrediction,
    depths: Float[Tensor, "ray sample"],
    ray_mask: Bool[Tensor, "ray"],
    direct_rgb: Float[Tensor, "ray 3"] | None = None,
    composited: Composited | None = None,
) -> PassRendering:
    """Alpha-composite the samples from front to back; `ray_mask` and `direct_rgb` are handed through.

    alpha = 1 - exp(-density), without an interval length, as IBRNet's checkpoints and those after it are trained.
    """
    if composited is not None:
        return PassRendering(*composited, depths, ray_mask, direct_rgb)
    hit_probability = hit_probability_of(1 - torch.exp(-points.density))
    rgb = (hit_probability[..., None] * points.colours).sum(dim=1)
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


class Renderer(nn.Module):
    """A generalizable neural radiance field: renders a query view of any scene from a few reference views."""

    def __init__(self, settings: ModelSettings | None = None, masking: MaskingSettings | None = None):
        super().__init__()
        self.settings = settings or ModelSettings()
        self.image_encoder = image_encoder()
        init = self.settings.visibility_init
        self.visibility_init = INIT_NETWORKS[init]() if init else None
        self.visibility_encoder = VisibilityEncoder()
        self.coarse, self.fine = (RenderPass(direct_rendering=self.settings.direct_rendering) for _ in range(2))
        self.masked_modelling = MaskedModelling(masking or MaskingSettings())
        self.fine.aggregation.masks_by_zeros = self.masked_modelling.settings.token == "zeros"
        self.free_maps = FreeMaps(self.settings.free_maps) if self.settings.free_maps else None
        """In place of `visibility_init`, which a published per-scene checkpoint still has."""

    def forward(self, batch: SceneBatch, *, mask_ratio: float, generator: torch.Generator | None = None) -> Rendering:
        """Render the batch's pixels.

        Without a generator the answer is deterministic (evaluation); with one, the fine depths are random, and where
        `mask_ratio` > 0 fine features are masked and predicted (pretraining). Raises as `encode`.
        """
        features = self.encode(batch.references, batch.sources)
        return self.render_rays(features, query_rays(batch), mask_ratio=mask_ratio, generator=generator)

    def with_passes(self, variant: Callable[[nn.Module], nn.Module]) -> "Renderer":
        """Return the same renderer, with the same weights, whose passes are computed by a variant of each."""
        return with_modules(self, coarse=variant(self.coarse), fine=variant(self.fine))

    @property
    def inputs(self) -> ModelInputs:
        """Return the parts that the reference views must have for this renderer."""
        free = self.settings.free_maps
        init = None if free else self.settings.visibility_init
        shared = free is not None and free.shared_depth_range
        return ModelInputs(depths=init == "depth", sources=init == "cost_volume", shared_range=shared)

    def encode(self, references: Views, sources: SourceViews | None = None) -> ReferenceFeatures:
        """Encode the reference views: everything that does not depend on the query.

        Raises:
            DatasetError: the views lack what `inputs` says or the map that `free_maps` should have of them, or have
                sides that the encoders cannot take.
        """
        height, width = references.image_size
        if min(height, width) < SMALLEST_SIDE or height % SIDES_ARE_MULTIPLES_OF or width % SIDES_ARE_MULTIPLES_OF:
            raise DatasetError(
                f"reference images are {width}×{height} pixels; their sides must be multiples of "
                f"{SIDES_ARE_MULTIPLES_OF} and at least {SMALLEST_SIDE}. Pad them, with their depth maps."
            )
        image_features = self.image_encoder(references.images)
        free = self.free_maps is not None
        raw_visibility = self.free_maps(references) if free else self.visibility_init(references, sources)
        ray_features = self.visibility_encoder(torch.cat([image_features, raw_visibility], dim=1))
        return ReferenceFeatures.of(references, image_features, ray_features)

    def render_rays(
        self, features: ReferenceFeatures, rays: QueryRays, *, mask_ratio: float, generator: torch.Generator | None
    ) -> Rendering:
        """Render the coarse pass, draw new depths where it hit, and render the fine pass over both."""
        coarse, points = self.render_coarse(features, rays)
        depths, fine_samples = coarse.sample_depths, self.settings.fine_samples
        new = draw_fine_depths(depths, coarse.hit_probability, rays.depth_range, fine_samples, generator=generator)
        samples, coarse_positions = merge_depths(depths, new, rays.depth_range)
        mask = None
        if mask_ratio != 0:
            if generator is None:
                raise ValueError("masking draws at random: pass a generator, or mask_ratio=0")
            shape, strategy = (len(features.views), *samples.depths.shape), self.masked_modelling.settings.strategy
            hits = hits_at(coarse.hit_probability.detach(), coarse_positions, samples.depths.shape[1])
            mask = draw_mask(strategy, *shape, mask_ratio, generator=generator, hit_probability=hits)
            mask = mask.to(samples.depths.device)
        _, fine_points, *made = self.fine(features, rays, samples, mask=mask)
        fine = volume_render(fine_points, samples.depths, coarse.ray_mask, *made)
        if mask is None:
            return Rendering(coarse, fine)
        return Rendering(coarse, fine, self.masked_modelling(mask, fine_points, points, coarse_positions))

    def render_coarse(self, features: ReferenceFeatures, rays: QueryRays) -> tuple[PassRendering, PointPrediction]:
        """Render the coarse pass alone, and return its predictions too."""
        depths = coarse_depths(rays.depth_range, len(rays.directions), self.settings.coarse_samples)
        seen_by, points, *made = self.coarse(features, rays, RaySamples.at(depths, rays.depth_range), mask=None)
        seen = (seen_by > RAY_IS_SEEN_BY_MORE_THAN).sum(dim=1) > RAY_IS_SEEN_AT_MORE_THAN
        return volume_render(points, depths, seen, *made), points

    def render_chunks(
        self, features: ReferenceFeatures, rays: QueryRays, rays_per_chunk: int, map_chunks: MapFunction = map
    ) -> Iterator[Rendering]:
        """Render rays a chunk at a time, without gradients: memory does not grow with their number.

        `map_chunks` does what `map` does, which renders one chunk after the other.
        """

        @torch.inference_mode()
        def chunk(directions: Tensor) -> Rendering:
            return self.render_rays(features, rays._replace(directions=directions), mask_ratio=0.0, generator=None)

        yield from map_chunks(chunk, rays.directions.split(rays_per_chunk))

    @torch.inference_mode()
    def render(self, batch: SceneBatch, rays_per_chunk: int = 256) -> Rendering:
        """Render all of the batch's pixels, as `render_chunks`."""
        features = self.encode(batch.references, batch.sources)
        return concatenate(list(self.render_chunks(features, query_rays(batch), rays_per_chunk)))
