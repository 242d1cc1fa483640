"""SceneBatch → Rendering: the only place that knows the order of things."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskrf_core.cameras import camera_centres, pixel_rays, project, towards_camera
from maskrf_core.config import ModelSettings
from maskrf_core.datasets.batch import SceneBatch, Views
from maskrf_core.errors import DatasetError
from maskrf_core.model.aggregation import AggregationNetwork, PointPrediction, ViewSamples
from maskrf_core.model.image_encoder import image_encoder
from maskrf_core.model.layers import sample_map
from maskrf_core.model.masking import MaskedModelling, draw_mask
from maskrf_core.model.rendering import MaskedFeatures, PassRendering, Rendering, concatenate
from maskrf_core.model.sampling import (
    coarse_depths,
    draw_fine_depths,
    intervals,
    merge_depths,
    normalised_inverse_depth,
)
from maskrf_core.model.visibility import (
    DepthVisibilityInit,
    DistributionDecoder,
    PointVisibility,
    VisibilityEncoder,
    visibility_of_samples,
)

RAY_IS_SEEN_BY_MORE_THAN = 2
RAY_IS_SEEN_AT_MORE_THAN = 8
"""A ray is supervised where more than 8 coarse samples project into more than 2 views (as IBRNet does), so training
needs 3 reference views and 9 coarse samples at the least."""

SMALLEST_SIDE = 32
SIDES_ARE_MULTIPLES_OF = 4
"""Of reference images, in pixels: below, the encoders' last stage has nothing left to normalise; between, their feature
maps would differ in size. Multiples of 16 are best (see `ResidualUNet`)."""


class ReferenceFeatures(NamedTuple):
    """Reference views with their feature maps, computed once for all rays."""

    views: Views
    image_features: Float[Tensor, "view 32 _ _"]
    ray_features: Float[Tensor, "view 32 _ _"]


class QueryRays(NamedTuple):
    """Rays of one query view."""

    origin: Float[Tensor, "3"]
    directions: Float[Tensor, "ray 3"]
    """Not normalised: `origin + z * direction` is at depth z."""
    depth_range: Float[Tensor, "2"]


class RenderPass(nn.Module):
    """The networks of one pass: what each view says of a sample, and what all of them together say."""

    def __init__(self):
        super().__init__()
        self.distribution_decoder = DistributionDecoder()
        self.aggregation = AggregationNetwork()

    def forward(
        self,
        features: ReferenceFeatures,
        rays: QueryRays,
        depths: Float[Tensor, "ray sample"],
        *,
        mask: Bool[Tensor, "view ray sample"] | None,
    ) -> tuple[ViewSamples, PointPrediction]:
        """Look at the samples at `depths` in every view and predict them; `mask` as in `AggregationNetwork`."""
        samples, visibility = self.look(features, rays, depths)
        return samples, self.aggregation(samples, visibility, mask=mask)

    def look(
        self, features: ReferenceFeatures, rays: QueryRays, depths: Float[Tensor, "ray sample"]
    ) -> tuple[ViewSamples, PointVisibility]:
        """Gather what the views hold at the samples and decode how visible the samples are in them."""
        samples, position = gather_samples(features, rays, depths)
        distribution = self.distribution_decoder(samples.ray_features)
        visibility = visibility_of_samples(distribution, position, intervals(depths, rays.depth_range), samples.valid)
        return samples, visibility


class Renderer(nn.Module):
    """A generalizable neural radiance field: renders a query view of any scene from a few reference views."""

    def __init__(self, settings: ModelSettings | None = None):
        super().__init__()
        self.settings = settings or ModelSettings()
        self.image_encoder = image_encoder()
        self.visibility_init = DepthVisibilityInit()
        self.visibility_encoder = VisibilityEncoder()
        self.coarse = RenderPass()
        self.fine = RenderPass()
        self.masked_modelling = MaskedModelling()

    def forward(self, batch: SceneBatch, *, mask_ratio: float, generator: torch.Generator | None = None) -> Rendering:
        """Render the batch's pixels.

        Without a generator the answer is deterministic (evaluation); with one, the fine depths are random, and where
        `mask_ratio` > 0 fine features are masked and predicted (pretraining).

        Raises:
            DatasetError: as `encode`.
        """
        features = self.encode(batch.references)
        return self.render_rays(features, query_rays(batch), mask_ratio=mask_ratio, generator=generator)

    def encode(self, references: Views) -> ReferenceFeatures:
        """Everything about the reference views that does not depend on the query.

        Raises:
            DatasetError: the views have no depth maps, or sides that the encoders cannot take.
        """
        height, width = references.image_size
        if min(height, width) < SMALLEST_SIDE or height % SIDES_ARE_MULTIPLES_OF or width % SIDES_ARE_MULTIPLES_OF:
            raise DatasetError(
                f"reference images are {width}×{height} pixels; their sides must be multiples of "
                f"{SIDES_ARE_MULTIPLES_OF} and at least {SMALLEST_SIDE}. Pad them, with their depth maps."
            )
        image_features = self.image_encoder(references.images)
        raw_visibility = self.visibility_init(references)
        ray_features = self.visibility_encoder(torch.cat([image_features, raw_visibility], dim=1))
        return ReferenceFeatures(references, image_features, ray_features)

    def render_rays(
        self, features: ReferenceFeatures, rays: QueryRays, *, mask_ratio: float, generator: torch.Generator | None
    ) -> Rendering:
        """Coarse pass, new depths where it hit, fine pass over both."""
        depths = coarse_depths(rays.depth_range, len(rays.directions), self.settings.coarse_samples)
        samples, prediction = self.coarse(features, rays, depths, mask=None)
        seen = (samples.valid.sum(dim=0) > RAY_IS_SEEN_BY_MORE_THAN).sum(dim=1) > RAY_IS_SEEN_AT_MORE_THAN
        coarse = volume_render(prediction, depths, seen)

        new = draw_fine_depths(
            depths, coarse.hit_probability, rays.depth_range, self.settings.fine_samples, generator=generator
        )
        merged = merge_depths(depths, new)
        mask = None
        if mask_ratio > 0:
            if generator is None:
                raise ValueError("masking draws at random: pass a generator, or mask_ratio=0")
            shape = (len(features.views), *merged.depths.shape)
            mask = draw_mask(*shape, mask_ratio, generator=generator).to(depths.device)
        _, fine_prediction = self.fine(features, rays, merged.depths, mask=mask)
        fine = volume_render(fine_prediction, merged.depths, seen)
        if mask is None:
            return Rendering(coarse, fine)

        at_coarse = merged.coarse_positions[..., None].expand(-1, -1, 16)
        predicted = self.masked_modelling.predict(fine_prediction.scene_features).gather(1, at_coarse)
        target = self.masked_modelling.target(prediction.scene_features)
        return Rendering(coarse, fine, MaskedFeatures(mask, predicted, target))

    def render_chunks(self, batch: SceneBatch, rays_per_chunk: int) -> Iterator[Rendering]:
        """Render the batch's pixels a chunk at a time, without gradients: memory does not grow with their number."""
        with torch.inference_mode():
            features = self.encode(batch.references)
            rays = query_rays(batch)
        for directions in rays.directions.split(rays_per_chunk):
            with torch.inference_mode():  # not around the yield, which would switch it on for the caller
                chunk = self.render_rays(features, rays._replace(directions=directions), mask_ratio=0.0, generator=None)
            yield chunk

    def render(self, batch: SceneBatch, rays_per_chunk: int = 1024) -> Rendering:
        """All of `render_chunks` at once."""
        return concatenate(list(self.render_chunks(batch, rays_per_chunk)))


def query_rays(batch: SceneBatch) -> QueryRays:
    """The rays through the batch's pixels."""
    query = batch.query
    return QueryRays(*pixel_rays(query.K[0], query.w2c[0], batch.pixels_xy), query.depth_range[0])


def gather_samples(
    features: ReferenceFeatures, rays: QueryRays, depths: Float[Tensor, "ray sample"]
) -> tuple[ViewSamples, Float[Tensor, "view ray sample"]]:
    """What every view holds where the samples project to, and their normalised inverse depth in the view."""
    views = features.views
    height, width = views.image_size
    points = rays.origin + depths[..., None] * rays.directions[:, None]
    projection = project(views.K, views.w2c, points, height, width)
    valid = projection.valid[..., None]
    colours = sample_map(views.images, projection.pixels_xy, height, width) * valid
    maps = torch.cat([features.image_features, features.ray_features], dim=1)
    image_features, ray_features = (sample_map(maps, projection.pixels_xy, height, width) * valid).split(32, dim=-1)

    to_view = towards_camera(camera_centres(views.w2c), points)
    to_query = -nn.functional.normalize(rays.directions, dim=-1)[:, None].expand_as(points)
    difference = torch.cat([to_view - to_query, (to_view * to_query).sum(dim=-1, keepdim=True)], dim=-1)
    near, far = (bound[:, None, None] for bound in views.depth_range.unbind(dim=1))
    position = normalised_inverse_depth(projection.depth, near, far)
    return ViewSamples(colours, image_features, ray_features, difference, projection.valid), position


def volume_render(
    prediction: PointPrediction, depths: Float[Tensor, "ray sample"], ray_mask: Bool[Tensor, "ray"]
) -> PassRendering:
    """Alpha-composite the samples from front to back.

    alpha = 1 - exp(-density), without an interval length, as IBRNet's checkpoints and those after it are trained; a
    sample's hit probability is its alpha times the product of 1 - alpha over the samples before it.
    """
    alpha = 1 - torch.exp(-prediction.density)
    passes = torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha[:, :-1] + 1e-10], dim=1)
    hit_probability = alpha * passes.cumprod(dim=1)
    rgb = (hit_probability[..., None] * prediction.colours).sum(dim=1)
    return PassRendering(rgb, (hit_probability * depths).sum(dim=1), hit_probability, depths, ray_mask)
