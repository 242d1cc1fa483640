"""The renderer as it is written down, without any trick: what the fast one is tested and timed against."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from maskrf_core.cameras import camera_centres, project, towards_camera
from maskrf_core.model.aggregators.neuray import AggregationNetwork, RayAttention
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, ViewSamples
from maskrf_core.model.layers import weighted_mean_and_variance
from maskrf_core.model.renderer import Renderer, RenderPass
from maskrf_core.model.sampling import RaySamples, normalised_inverse_depth
from maskrf_core.model.visibility import PointVisibility, visibility_of_samples
from maskrf_core.settings.sections import MaskingSettings, ModelSettings


class ReferenceRenderer(Renderer):
    """A renderer with the same weights by the same names."""

    def __init__(self, settings: ModelSettings | None = None, masking: MaskingSettings | None = None):
        super().__init__(settings, masking)
        self.coarse, self.fine = (ReferencePass(direct_rendering=self.settings.direct_rendering) for _ in range(2))


class ReferenceAttention(RayAttention):
    """All scores of all rays are there at once."""

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, added: Tensor | None) -> Tensor:
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        return torch.softmax(scores if added is None else scores + added, dim=-1) @ value


class ReferenceAggregation(AggregationNetwork):
    """The statistics over views are repeated for each view, and multiplied once a view."""

    def __init__(self):
        super().__init__()
        self.ray_attention = ReferenceAttention()

    def _aggregate(
        self,
        features: Float[Tensor, "view ray sample 35"],
        embedding: Float[Tensor, "view ray sample 32"],
        valid: Bool[Tensor, "view ray sample 1"],
    ) -> tuple[Float[Tensor, "view ray sample 32"], Float[Tensor, "view ray sample 1"]]:
        weight = valid / (valid.sum(dim=0) + 1e-8)
        trusted = weighted_mean_and_variance(features, self.visibility_weight(embedding) * weight)
        equal = weighted_mean_and_variance(features, weight)
        repeated = [part.expand(len(features), -1, -1, -1) for part in (*trusted, *equal)]
        x = self.base(torch.cat([*repeated, features, embedding], dim=-1))
        residual, logit = self.residual_and_visibility(x * weight).split([32, 1], dim=-1)
        x = x + residual
        return x, self.visibility(x * (torch.sigmoid(logit) * valid)) * valid


class ReferencePass(RenderPass):
    """Colours, image features and ray features are sampled one after the other."""

    def __init__(self, *, direct_rendering: bool = False):
        super().__init__(direct_rendering=direct_rendering)
        self.aggregation = ReferenceAggregation()

    def look(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples
    ) -> tuple[ViewSamples, PointVisibility]:
        views = features.views
        points = rays.origin + samples.depths[..., None] * rays.directions[:, None]
        projection = project(views.K, views.w2c, points, *views.image_size)
        valid, pixels = projection.valid, projection.pixels_xy
        colours, image_features, ray_features = (
            grid_sampled(maps, pixels, views.image_size) * valid[..., None]
            for maps in (views.images, features.image_features, features.ray_features)
        )
        to_view = towards_camera(camera_centres(views.w2c), points)
        to_query = rays.towards_query[:, None].expand_as(points)
        difference = torch.cat([to_view - to_query, (to_view * to_query).sum(dim=-1, keepdim=True)], dim=-1)
        near, far = (bound[:, None, None] for bound in views.depth_range.unbind(dim=1))
        position = normalised_inverse_depth(projection.depth, near, far)
        distribution = self.distribution_decoder(ray_features)
        visibility = visibility_of_samples(distribution, position, samples, valid)
        return ViewSamples(colours, image_features, ray_features, difference, valid), visibility


def grid_sampled(maps: Tensor, pixels_xy: Tensor, size: tuple[int, int]) -> Tensor:
    """`sample_map` by torch's own sampling."""
    height, width = size
    grid = 2 * pixels_xy / torch.tensor([width - 1, height - 1], dtype=pixels_xy.dtype) - 1
    same_size = tuple(maps.shape[-2:]) == size
    values = functional.grid_sample(maps.contiguous(), grid, padding_mode="border", align_corners=same_size)
    return values.movedim(1, -1)
