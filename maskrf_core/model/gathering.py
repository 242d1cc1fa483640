"""What the reference views hold where the samples of query rays project to."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskrf_core.cameras import camera_centres, pixel_rays, project, towards_camera
from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.model.aggregators.neuray import ViewSamples
from maskrf_core.model.map_sampling import channels_last, corners_of, values_at
from maskrf_core.model.sampling import normalised_inverse_depth


class ReferenceFeatures(NamedTuple):
    """Reference views with their feature maps, computed once for all rays."""

    views: Views
    maps: Float[Tensor, "view 64 _ _"]
    """Image features, then ray features: together, because all are looked up at the same places."""

    @classmethod
    def of(
        cls, views: Views, image_features: Float[Tensor, "view 32 _ _"], ray_features: Float[Tensor, "view 32 _ _"]
    ) -> "ReferenceFeatures":
        """Laid out so that what is at a pixel lies together."""
        maps = channels_last(torch.cat([image_features, ray_features], dim=1))
        return cls(views.replace(images=channels_last(views.images)), maps)

    @property
    def image_features(self) -> Float[Tensor, "view 32 _ _"]:
        return self.maps[:, :32]

    @property
    def ray_features(self) -> Float[Tensor, "view 32 _ _"]:
        return self.maps[:, 32:]


class QueryRays(NamedTuple):
    """Rays of one query view."""

    origin: Float[Tensor, "3"]
    directions: Float[Tensor, "ray 3"]
    """Not normalised: `origin + z * direction` is at depth z."""
    depth_range: Float[Tensor, "2"]


def query_rays(batch: SceneBatch) -> QueryRays:
    """The rays through the batch's pixels."""
    return rays_of(batch.query, batch.pixels_xy)


def rays_of(query: Views, pixels_xy: Float[Tensor, "ray 2"]) -> QueryRays:
    """The rays through pixels of a query, which is one view."""
    return QueryRays(*pixel_rays(query.K[0], query.w2c[0], pixels_xy), query.depth_range[0])


def towards_query(rays: QueryRays) -> Float[Tensor, "ray 3"]:
    """Unit vectors from the samples of each ray to the query camera."""
    return -nn.functional.normalize(rays.directions, dim=-1)


def gather_samples(
    features: ReferenceFeatures, rays: QueryRays, depths: Float[Tensor, "ray sample"]
) -> tuple[ViewSamples, Float[Tensor, "view ray sample"]]:
    """What every view holds where the samples project to, and their normalised inverse depth in the view."""
    views = features.views
    height, width = views.image_size
    points = rays.origin + depths[..., None] * rays.directions[:, None]
    projection = project(views.K, views.w2c, points, height, width)
    valid = projection.valid.reshape(-1, 1).to(depths.dtype)

    def gathered(maps: Tensor) -> Tensor:
        corners = corners_of(tuple(maps.shape[-2:]), projection.pixels_xy, height, width)
        return values_at(maps, corners._replace(weights=corners.weights * valid), projection.pixels_xy)

    image_features, ray_features = gathered(features.maps).split(32, dim=-1)
    to_view = towards_camera(camera_centres(views.w2c), points)
    to_query = towards_query(rays)[:, None].expand_as(points)
    difference = torch.cat([to_view - to_query, (to_view * to_query).sum(dim=-1, keepdim=True)], dim=-1)
    near, far = (bound[:, None, None] for bound in views.depth_range.unbind(dim=1))
    position = normalised_inverse_depth(projection.depth, near, far)
    return ViewSamples(gathered(views.images), image_features, ray_features, difference, projection.valid), position
