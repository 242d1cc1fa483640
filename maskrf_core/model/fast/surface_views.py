"""What the views' depth maps show of a query, and which views together see most of it: for a preview."""

import torch
from jaxtyping import Float
from torch import Tensor

from maskrf_core.cameras import back_project, camera_centres, project
from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.model.gathering import rays_of
from maskrf_core.support.machine import one_thread

VIEWS = 5
TOLERANCE = 0.03  # of its depth, within which a point is the one that a depth map has
WORTH_AGAIN = 0.4  # of a pixel that one of the chosen views sees, to the next one
MOST_PIXELS = 10_000  # by which views are chosen


@one_thread()  # milliseconds for a small picture, of which waiting for another thread takes more
def surface_of(views: Views, query: Views) -> Float[Tensor, "height width"] | None:
    """Return the depth in the query of the nearest point that the views' depth maps put at each of its pixels, inf
    where there is none between near and far; None where the views have no depth maps.

    Of maps that are much larger than the query, some pixels do. What padding has mirrored counts like the rest.
    """
    if views.depths is None:
        return None
    (height, width), (near, far) = query.image_size, query.depth_range[0]
    stride = max(1, min(views.image_size[0] // height, views.image_size[1] // width) // 2)
    depths = views.depths[:, 0, ::stride, ::stride]
    K = torch.cat([views.K[:, :2] / stride, views.K[:, 2:]], dim=1)
    surface = depths.new_full((height * width,), torch.inf)
    for view in range(len(views)):  # one at a time: memory is for the points of one
        one = slice(view, view + 1)
        points = back_project(K[one], views.w2c[one], depths[one])[depths[one] > 0]
        (pixels_xy,), (depth,), (valid,) = project(query.K, query.w2c, points, height, width)
        x, y = pixels_xy.round().long().unbind(dim=1)
        inside = valid & (depth >= near) & (depth <= far) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        surface.scatter_reduce_(0, (y * width + x)[inside], depth[inside], "amin")
    return surface.view(height, width)


def with_few_views(batch: SceneBatch, surface: Float[Tensor, "height width"] | None) -> SceneBatch:
    """Return the batch with those references alone that together see most of the surface; without one, the nearest.

    Cost volumes need the others for what they are made of: a batch for these stays as it is.
    """
    if batch.sources is not None or len(batch.references) <= VIEWS:
        return batch
    chosen = views_that_see(batch.references, batch.query, surface, VIEWS)
    parts = {name: part for name, part in vars(batch.references).items() if isinstance(part, Tensor)}
    few = batch.references.replace(**{name: part[chosen] for name, part in parts.items()})
    return SceneBatch(batch.query, few, batch.pixels_xy)


@one_thread()
def views_that_see(views: Views, query: Views, surface: Float[Tensor, "height width"] | None, count: int) -> Tensor:
    """Choose views, in their order: always the one that adds most to what those chosen before see of the surface, and
    of equal ones the one whose centre is nearest to the query's."""
    distance = (camera_centres(views.w2c) - camera_centres(query.w2c)).norm(dim=1)
    by_distance = distance.argsort(stable=True)
    if surface is None:
        return by_distance[:count].sort().values
    sees = _seen(views, query, surface)[by_distance].to(distance.dtype)
    worth, chosen = distance.new_ones(sees.shape[1]), []
    for _ in range(count):
        gains = sees @ worth
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        worth = worth * (1 - (1 - WORTH_AGAIN) * sees[chosen[-1]])
    return by_distance[chosen].sort().values


def _seen(views: Views, query: Views, surface: Float[Tensor, "height width"]) -> Tensor:
    """Tell of each view which pixels of the query (some of them) show a surface that it sees: [view pixel]."""
    places = surface.isfinite().nonzero()
    places = places[:: max(1, -(-len(places) // MOST_PIXELS))]
    rays = rays_of(query, places.flip(1).to(surface.dtype))
    points = rays.origin + surface[places[:, 0], places[:, 1], None] * rays.directions
    height, width = views.image_size
    pixels_xy, depth, valid = project(views.K, views.w2c, points, height, width)
    x, y = pixels_xy.round().long().unbind(dim=2)
    numbers = torch.arange(len(views), device=surface.device)[:, None]
    known = views.depths[numbers, 0, y.clamp(0, height - 1), x.clamp(0, width - 1)]
    return valid & ((known - depth).abs() < TOLERANCE * depth)
