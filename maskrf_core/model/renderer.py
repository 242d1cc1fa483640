"""SceneBatch → Rendering: the only place that knows the order of things."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from maskrf_core.datasets.batches.batch import ModelInputs, SceneBatch, SourceViews, Views
from maskrf_core.model.aggregators.neuray import PointPrediction
from maskrf_core.model.free_maps import FreeMaps
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, query_rays
from maskrf_core.model.image_encoder import image_encoder
from maskrf_core.model.layers import with_modules
from maskrf_core.model.masking.prediction import MaskedModelling
from maskrf_core.model.masking.strategies import draw_mask
from maskrf_core.model.render_pass import RenderPass, volume_render
from maskrf_core.model.rendering import PassRendering, Rendering, concatenate
from maskrf_core.model.sampling import coarse_depths, draw_fine_depths, merge_depths
from maskrf_core.model.visibility import VisibilityEncoder
from maskrf_core.model.visibility_init import INIT_NETWORKS
from maskrf_core.settings.sections import MaskingSettings, ModelSettings
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.threads import MapFunction

RAY_IS_SEEN_BY_MORE_THAN = 2
RAY_IS_SEEN_AT_MORE_THAN = 8
"""A ray is supervised where more than 8 coarse samples project into more than 2 views (as IBRNet does), so training
needs 3 reference views and 9 coarse samples at the least."""

SMALLEST_SIDE = 32
SIDES_ARE_MULTIPLES_OF = 4
"""Of reference images, in pixels: below, the encoders' last stage has nothing left to normalise; between, their feature
maps would differ in size. Multiples of 16 are best (see `ResidualUNet`)."""


class Renderer(nn.Module):
    """A generalizable neural radiance field: renders a query view of any scene from a few reference views."""

    def __init__(self, settings: ModelSettings | None = None, masking: MaskingSettings | None = None):
        super().__init__()
        self.settings = settings or ModelSettings()
        self.image_encoder = image_encoder()
        init = self.settings.visibility_init
        self.visibility_init = INIT_NETWORKS[init]() if init else None
        self.visibility_encoder = VisibilityEncoder()
        self.coarse = RenderPass(direct_rendering=self.settings.direct_rendering)
        self.fine = RenderPass(direct_rendering=self.settings.direct_rendering)
        self.masked_modelling = MaskedModelling(masking or MaskingSettings())
        self.free_maps = FreeMaps(self.settings.free_maps) if self.settings.free_maps else None
        """In place of `visibility_init`, which a published per-scene checkpoint still has."""

    def forward(self, batch: SceneBatch, *, mask_ratio: float, generator: torch.Generator | None = None) -> Rendering:
        """Render the batch's pixels.

        Without a generator the answer is deterministic (evaluation); with one, the fine depths are random, and where
        `mask_ratio` > 0 fine features are masked and predicted (pretraining).

        Raises:
            DatasetError: as `encode`.
        """
        features = self.encode(batch.references, batch.sources)
        return self.render_rays(features, query_rays(batch), mask_ratio=mask_ratio, generator=generator)

    def with_passes(self, variant: Callable[[nn.Module], nn.Module]) -> "Renderer":
        """The same renderer, with the same weights, whose passes are computed by a variant of each."""
        return with_modules(self, coarse=variant(self.coarse), fine=variant(self.fine))

    @property
    def inputs(self) -> ModelInputs:
        """What the reference views must have for this renderer."""
        init = None if self.settings.free_maps else self.settings.visibility_init
        return ModelInputs(depths=init == "depth", sources=init == "cost_volume")

    def encode(self, references: Views, sources: SourceViews | None = None) -> ReferenceFeatures:
        """Everything about the reference views that does not depend on the query.

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
        """Coarse pass, new depths where it hit, fine pass over both."""
        coarse, points = self.render_coarse(features, rays)
        depths, seen = coarse.sample_depths, coarse.ray_mask

        new = draw_fine_depths(
            depths, coarse.hit_probability, rays.depth_range, self.settings.fine_samples, generator=generator
        )
        merged = merge_depths(depths, new)
        mask = None
        if mask_ratio > 0:
            if generator is None:
                raise ValueError("masking draws at random: pass a generator, or mask_ratio=0")
            shape = (len(features.views), *merged.depths.shape)
            strategy = self.masked_modelling.settings.strategy
            mask = draw_mask(strategy, *shape, mask_ratio, generator=generator).to(depths.device)
        _, fine_points, fine_direct_rgb = self.fine(features, rays, merged.depths, mask=mask)
        fine = volume_render(fine_points, merged.depths, seen, fine_direct_rgb)
        if mask is None:
            return Rendering(coarse, fine)

        masked = self.masked_modelling(mask, fine_points, points, merged.coarse_positions)
        return Rendering(coarse, fine, masked)

    def render_coarse(self, features: ReferenceFeatures, rays: QueryRays) -> tuple[PassRendering, PointPrediction]:
        """The coarse pass alone, and what it says of its samples."""
        depths = coarse_depths(rays.depth_range, len(rays.directions), self.settings.coarse_samples)
        valid, points, direct_rgb = self.coarse(features, rays, depths, mask=None)
        seen = (valid.sum(dim=0) > RAY_IS_SEEN_BY_MORE_THAN).sum(dim=1) > RAY_IS_SEEN_AT_MORE_THAN
        return volume_render(points, depths, seen, direct_rgb), points

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
        """All of the batch's pixels, as `render_chunks`."""
        features = self.encode(batch.references, batch.sources)
        return concatenate(list(self.render_chunks(features, query_rays(batch), rays_per_chunk)))
