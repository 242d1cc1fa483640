"""SceneBatch → Rendering: the order of things, and the two passes in it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from maskrf_core.datasets.batches.batch import ModelInputs, SceneBatch, SourceViews, Views
from maskrf_core.model.aggregators.contract import Rendered, check_visibility, find_aggregator
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, query_rays
from maskrf_core.model.layers import with_modules
from maskrf_core.model.masking.prediction import MaskedModelling
from maskrf_core.model.masking.strategies import draw_mask
from maskrf_core.model.rendering import (
    Composited,
    Mask,
    PassRendering,
    PointPrediction,
    Rendering,
    concatenate,
    hits_at,
    volume_render,
)
from maskrf_core.model.sampling import MergedSamples, RaySamples, merge_depths
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

SMALLEST_SIDE = 32
SIDES_ARE_MULTIPLES_OF = 4
"""Of reference images, in pixels: else nothing is left to normalise, or feature maps differ in size; best are 16s."""


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

    def __init__(self, aggregator: str = "neuray", rendered: Rendered = "coarse", *, direct_rendering: bool = False):
        super().__init__()
        found = find_aggregator(aggregator)
        self.direct_rendering = direct_rendering
        self.distribution_decoder = DistributionDecoder() if found.needs_visibility else None
        self.aggregation = found(rendered)

    def forward(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples, *, mask: Mask | None
    ) -> PassPrediction:
        """Look at the samples in every view and predict them; `mask` as in `Aggregator`."""
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
    ) -> tuple[tuple, PointVisibility | None]:
        """Gather what the views hold at the samples and decode how visible the samples are in them, if it matters."""
        views, position = self.aggregation.look(features, rays, samples)
        if self.distribution_decoder is None:
            return views, None
        with self._in_network_precision(position.device):
            distribution = self.distribution_decoder(views.ray_features)
        distribution = SurfaceDistribution(*(part.to(position.dtype) for part in distribution))
        return views, visibility_of_samples(distribution, position, samples, views.valid)

    def _in_network_precision(self, device: torch.device) -> AbstractContextManager:
        precision = self.network_precision
        return nullcontext() if precision is None else torch.autocast(device.type, precision, cache_enabled=False)


class Renderer(nn.Module):
    """A generalizable neural radiance field: renders a query view of any scene from a few reference views."""

    def __init__(self, settings: ModelSettings | None = None, masking: MaskingSettings | None = None):
        super().__init__()
        self.settings = settings or ModelSettings()
        self.aggregator = find_aggregator(self.settings.aggregator)
        check_visibility(self.settings, self.aggregator)
        self.image_encoder = self.aggregator.image_encoder()
        init = self.settings.visibility_init if self.aggregator.needs_visibility else None
        self.visibility_init = INIT_NETWORKS[init]() if init else None
        self.visibility_encoder = VisibilityEncoder() if self.aggregator.needs_visibility else None
        self.coarse, self.fine = (
            RenderPass(self.settings.aggregator, rendered, direct_rendering=self.settings.direct_rendering)
            for rendered in ("coarse", "fine")
        )
        self.masked_modelling = MaskedModelling(masking or MaskingSettings(), self.aggregator.heads)
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
        init = self.settings.visibility_init if self.aggregator.needs_visibility and not free else None
        shared = free is not None and free.shared_depth_range
        sees = self.aggregator.needs_visibility
        return ModelInputs(init == "depth", init == "cost_volume", shared_range=shared, object_ranges=sees)

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
        if self.visibility_encoder is None:
            return ReferenceFeatures.of(references, image_features)
        free = self.free_maps is not None
        raw_visibility = self.free_maps(references) if free else self.visibility_init(references, sources)
        ray_features = self.visibility_encoder(torch.cat([image_features, raw_visibility], dim=1))
        return ReferenceFeatures.of(references, image_features, ray_features)

    def render_rays(
        self, features: ReferenceFeatures, rays: QueryRays, *, mask_ratio: float, generator: torch.Generator | None
    ) -> Rendering:
        """Render the coarse pass, draw new depths where it hit, and render the fine pass over both."""
        with self._dropout_from(generator):
            return self._rendered(features, rays, mask_ratio, generator)

    def _rendered(
        self, features: ReferenceFeatures, rays: QueryRays, mask_ratio: float, generator: torch.Generator | None
    ) -> Rendering:
        coarse, points = self.render_coarse(features, rays, generator)
        samples, coarse_positions = self.fine_samples(coarse, rays, generator)
        mask = None
        if mask_ratio != 0:
            if generator is None:
                raise ValueError("masking draws at random: pass a generator, or mask_ratio=0")
            shape, strategy = (len(features.views), *samples.depths.shape), self.masked_modelling.settings.strategy
            hits = hits_at(coarse.hit_probability.detach(), coarse_positions, samples.depths.shape[1])
            mask = draw_mask(strategy, *shape, mask_ratio, generator=generator, hit_probability=hits)
            mask = mask.to(samples.depths.device)
        seen_by, fine_points, *made = self.fine(features, rays, samples, mask=mask)
        counts = self.aggregator.ray_mask(seen_by) if self.aggregator.fine_rays_count_apart else coarse.ray_mask
        fine = self.composite(fine_points, samples.depths, counts, *made)
        if mask is None:
            return Rendering(coarse, fine)
        return Rendering(coarse, fine, self.masked_modelling(mask, fine_points, points, coarse_positions))

    def render_coarse(
        self, features: ReferenceFeatures, rays: QueryRays, generator: torch.Generator | None = None
    ) -> tuple[PassRendering, PointPrediction]:
        """Render the coarse pass alone, and return its predictions too."""
        depths = self.aggregator.coarse_depths(rays, self.settings.coarse_samples, generator)
        seen_by, points, *made = self.coarse(features, rays, RaySamples.at(depths, rays.depth_range), mask=None)
        return self.composite(points, depths, self.aggregator.ray_mask(seen_by), *made), points

    def fine_samples(
        self, coarse: PassRendering, rays: QueryRays, generator: torch.Generator | None = None
    ) -> MergedSamples:
        """Draw the new samples of the fine pass, and merge the coarse ones in."""
        hits, count = coarse.hit_probability, self.settings.fine_samples
        new = self.aggregator.new_depths(rays, coarse.sample_depths, hits, count, generator)
        return merge_depths(coarse.sample_depths, new, rays.depth_range)

    def composite(
        self,
        points: PointPrediction,
        depths: Float[Tensor, "ray sample"],
        ray_mask: Bool[Tensor, "ray"],
        direct_rgb: Float[Tensor, "ray 3"] | None = None,
        composited: Composited | None = None,
    ) -> PassRendering:
        """Composite samples as `volume_render`, before the aggregator's background, where a kernel has not done it."""
        if composited is not None:
            return PassRendering(*composited, depths, ray_mask, direct_rgb)
        return volume_render(points, depths, ray_mask, direct_rgb, background=self.aggregator.background)

    @contextmanager
    def _dropout_from(self, generator: torch.Generator | None) -> Iterator[None]:
        """Have dropout, which knows torch's own generator alone, follow from the seed of the step's."""
        if generator is None or not (self.training and self.aggregator.uses_dropout):
            yield
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed((generator.initial_seed() + 1) % 2**63)
            yield

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
