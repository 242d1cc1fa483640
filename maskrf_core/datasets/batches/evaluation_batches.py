"""Batches of all pixels of a view, to be rendered from the reference views that are nearest to it."""

import warnings
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from maskrf_core.datasets.batches.batch import ModelInputs, SceneBatch, Views
from maskrf_core.datasets.batches.depth_augmentation import change_ranges, consistent_depth_ranges
from maskrf_core.datasets.batches.scene_views import FROM_DEPTHS, SceneViews
from maskrf_core.datasets.batches.view_choice import Camera, shared_sight
from maskrf_core.datasets.inventory import spread

MOST_QUERIES = 100  # whose references are looked at for a warning: of a thousand views all would take seconds


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
    if inputs.shared_range:
        query = views.in_shared_range(query)
    return SceneBatch(query, references, all_pixels(*query.image_size), sources)


def in_consistent_ranges(batch: SceneBatch) -> SceneBatch:
    """Return the batch with depth ranges of one length, as those of training batches are."""
    query, references = change_ranges(batch.query, batch.references, consistent_depth_ranges)
    return batch.replace(query=query, references=references)


def warn_of_blind_references(
    views: SceneViews, queries: Mapping[str, Camera], reference_ids: Sequence[str], working_views: int
) -> None:
    """Warn, in one line, where references that would be chosen share no sight with their query; of many queries some
    are looked at."""
    blind, looked_at = {}, spread(list(queries), MOST_QUERIES)
    for name in looked_at:
        camera = queries[name]
        candidates = [image_id for image_id in reference_ids if image_id != name]
        chosen = views.nearest_to(camera, candidates, min(working_views, len(candidates)), name)
        shares = shared_sight(camera, views.cameras(chosen)).tolist() if chosen else []
        if 0 in shares:
            blind[name] = chosen[shares.index(0)]
    if not blind:
        return
    remedy = {
        "nearest": "Set data.view_choice=nearest_looking, which heeds where cameras look.",
        "nearest_looking": "Set working_views lower, or add photographs that look the same way.",
    }[views.view_choice]
    name, other = next(iter(blind.items()))
    warnings.warn(
        f"{views.scene.name}: {len(blind)} of {len(looked_at)} queries have reference views that see nothing of what "
        f"the query sees (such as {other} of {name}), chosen by data.view_choice={views.view_choice}. {remedy}",
        stacklevel=2,
    )


def all_pixels(height: int, width: int) -> Float[Tensor, "pixel 2"]:
    """Return (x, y) of every pixel, row by row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2).float()
