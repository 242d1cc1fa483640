"""Reference views at the samples of query rays: where these project to, and what the views' maps hold there."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from maskrf_core.cameras import camera_centres, pixel_rays, project, towards_camera
from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.model.sampling import normalised_inverse_depth

Padding = Literal["border", "zeros"]


class ReferenceFeatures(NamedTuple):
    """Reference views with their feature maps, computed once for all rays."""

    views: Views
    maps: Float[Tensor, "view channel _ _"]
    """Image features, then ray features where there are any: all are looked up at the same places."""

    @classmethod
    def of(cls, views: Views, *maps: Float[Tensor, "view _ _ _"]) -> "ReferenceFeatures":
        """Lay image features, and ray features, out so that the channels of a pixel lie together."""
        images, maps = (
            maps.contiguous(memory_format=torch.channels_last) for maps in (views.images, torch.cat(maps, dim=1))
        )
        return cls(views.replace(images=images), maps)

    @property
    def image_features(self) -> Float[Tensor, "view 32 _ _"]:
        """Return those that have ray features beside them."""
        return self.maps[:, :32]

    @property
    def ray_features(self) -> Float[Tensor, "view 32 _ _"]:
        return self.maps[:, 32:]


class QueryRays(NamedTuple):
    """Rays of one query view."""

    origin: Float[Tensor, "3"]
    directions: Float[Tensor, "ray 3"]  # not normalised: `origin + z * direction` is at depth z
    depth_range: Float[Tensor, "2"]

    @property
    def towards_query(self) -> Float[Tensor, "ray 3"]:
        """Return the unit vectors from the samples of each ray to the query camera."""
        return -functional.normalize(self.directions, dim=-1)


def query_rays(batch: SceneBatch) -> QueryRays:
    """Return the rays through the batch's pixels."""
    return rays_of(batch.query, batch.pixels_xy)


def rays_of(query: Views, pixels_xy: Float[Tensor, "ray 2"]) -> QueryRays:
    """Return the rays through pixels of a query, which is one view."""
    return QueryRays(*pixel_rays(query.K[0], query.w2c[0], pixels_xy), query.depth_range[0])


def query_colours(query: Views, pixels_xy: Float[Tensor, "ray 2"]) -> Float[Tensor, "ray 3"]:
    """Return the true colours of query pixels: bilinear, zero outside the image."""
    return sample_map(query.images, pixels_xy[None], *query.image_size, padding="zeros")[0]


class ViewSamples(NamedTuple):
    """Contributions of the reference views at every sample of every query ray."""

    colours: Float[Tensor, "view ray sample 3"]
    image_features: Float[Tensor, "view ray sample channel"]
    ray_features: Float[Tensor, "view ray sample ray_channel"]  # none without visibility
    direction_difference: Float[Tensor, "view ray sample 4"]
    """View direction minus query direction, and their dot product."""
    valid: Bool[Tensor, "view ray sample"]  # the sample projects into the view


def gather_samples(
    features: ReferenceFeatures, rays: QueryRays, depths: Float[Tensor, "ray sample"], *, ray_channels: int = 32
) -> tuple[ViewSamples, Float[Tensor, "view ray sample"]]:
    """Return what every view holds where the samples project to, and their normalised inverse depth in the view.

    The last `ray_channels` of the maps are ray features.
    """
    views = features.views
    height, width = views.image_size
    points = rays.origin + depths[..., None] * rays.directions[:, None]
    projection = project(views.K, views.w2c, points, height, width)
    colours, maps = (
        sample_map(maps, projection.pixels_xy, height, width, valid=projection.valid)
        for maps in (views.images, features.maps)
    )
    image_features, ray_features = maps.split([maps.shape[-1] - ray_channels, ray_channels], dim=-1)
    to_view = towards_camera(camera_centres(views.w2c), points)
    to_query = rays.towards_query[:, None].expand_as(points)
    difference = torch.cat([to_view - to_query, (to_view * to_query).sum(dim=-1, keepdim=True)], dim=-1)
    near, far = (bound[:, None, None] for bound in views.depth_range.unbind(dim=1))
    position = normalised_inverse_depth(projection.depth, near, far)
    return ViewSamples(colours, image_features, ray_features, difference, projection.valid), position


def sample_map(
    maps: Float[Tensor, "view channel map_height map_width"],
    pixels_xy: Float[Tensor, "view *points 2"],
    height: int,
    width: int,
    *,
    padding: Padding = "border",
    valid: Bool[Tensor, "view *points"] | None = None,
) -> Float[Tensor, "view *points channel"]:
    """Return bilinear values of per-view maps at pixels of `height` × `width` images; outside, the border or zeros.

    A map of the image's own size is sampled at pixel centres. A smaller one is sampled by the half-size convention of
    the published checkpoints, a fraction of a feature pixel off. Where `valid` is given and False, values are 0.

    A weighted sum of rows is several times as fast on a CPU as `grid_sample`, forward and backward, because the
    channels of a pixel lie together; where `maps` are channels-last already, nothing is copied.
    """
    corners, weights = corners_of(tuple(maps.shape[-2:]), pixels_xy, height, width, padding)
    if valid is not None:
        weights = weights * valid.reshape(-1, 1).to(weights.dtype)
    rows = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    weights = weights.to(rows.dtype)
    if rows.is_cuda and torch.compiler.is_compiling():  # which makes one kernel of all that, and none of the bag
        values = (rows[corners] * weights[..., None]).sum(dim=1)
    else:
        values = functional.embedding_bag(corners, rows, per_sample_weights=weights, mode="sum")
    return values.view(*pixels_xy.shape[:-1], -1)


def corners_of(
    size: tuple[int, int], pixels_xy: Float[Tensor, "view *points 2"], height: int, width: int, padding: Padding
) -> tuple[Int64[Tensor, "point 4"], Float[Tensor, "point 4"]]:
    """Return the four pixels of maps of `size` (rows, columns) around each pixel of `height` × `width` images.

    They are numbered through all maps, one after the other. Their bilinear weights are returned too.
    """
    rows, columns = size

    def around(position: Tensor, length: int, of_image: int) -> list[tuple[Tensor, Tensor]]:
        """Return the two places around each position along one side, and their weights."""
        if size != (height, width):
            position = position / (of_image - 1) * length - 0.5
        # What is far outside or not a number would leave the range of integers.
        position = position.nan_to_num(-2.0).clamp(-2, length + 1)
        if padding == "border":
            position = position.clamp(0, length - 1)
        first = position.floor()
        share = position - first
        places, weights = (first, first + 1), (1 - share, share)
        if padding == "zeros":
            inside = [((place >= 0) & (place < length)).to(place.dtype) for place in places]
            weights = [weight * counts for weight, counts in zip(weights, inside, strict=True)]
        return [(place.clamp(0, length - 1).long(), weight) for place, weight in zip(places, weights, strict=True)]

    x, y = pixels_xy.flatten(1, -2).unbind(dim=-1)
    across, down = around(x, columns, width), around(y, rows, height)
    before = torch.arange(len(x), device=x.device)[:, None, None] * (rows * columns)
    of_map = torch.stack([column + row * columns for row, _ in down for column, _ in across], dim=-1)
    of_corners = torch.stack([of_x * of_y for _, of_y in down for _, of_x in across], dim=-1)
    return (of_map + before).view(-1, 4), of_corners.view(-1, 4)
