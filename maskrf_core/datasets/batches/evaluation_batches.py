"""Batches of all pixels of a view, to be rendered from the reference views that are nearest to it."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from maskrf_core.datasets.batches.batch import ModelInputs, SceneBatch, Views
from maskrf_core.datasets.batches.scene_views import FROM_DEPTHS, SceneViews


def evaluation_batch(
    views: SceneViews,
    query_id: str,
    reference_ids: Sequence[str],
    working_views: int,
    inputs: ModelInputs = FROM_DEPTHS,
) -> SceneBatch:
    """Make a batch of all pixels of a query, row by row, from its nearest reference views with the model's inputs.

    Neighbours of the references are sought among all `reference_ids`, but for the query.
    """
    nearest = views.nearest(query_id, reference_ids, working_views)
    pool = [image_id for image_id in reference_ids if image_id != query_id]
    return batch_of(views, views.query(query_id), nearest, pool, inputs)


def batch_of(
    views: SceneViews, query: Views, reference_ids: Sequence[str], pool: Sequence[str], inputs: ModelInputs
) -> SceneBatch:
    """Make a batch of all pixels of any query from these reference views, whose neighbours are sought in `pool`."""
    references, sources = views.working_views(reference_ids, pool, inputs)
    return SceneBatch(query, references, all_pixels(*query.image_size), sources)


def all_pixels(height: int, width: int) -> Float[Tensor, "pixel 2"]:
    """Return (x, y) of every pixel, row by row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2).float()
