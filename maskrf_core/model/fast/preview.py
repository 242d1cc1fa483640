"""Rendering for the eye while it waits: three views, and few samples around the depth that these agree on.

After the idea of ENeRF (Lin et al., SIGGRAPH Asia 2022): where the surface is known roughly, a few samples do. Here the
adaptive rendering knows it, from the coarse pass of a wider grid.
"""

import torch

from maskrf_core.cameras import camera_centres
from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.model.fast.adaptive_rendering import AdaptiveSettings

VIEWS = 3
PREVIEW_SETTINGS = AdaptiveSettings(grid=8, samples=6)


def nearest_views(views: Views, query: Views, count: int = VIEWS) -> Views:
    """Return the views whose centres are nearest to the query's, as many as there are if there are fewer."""
    distance = (camera_centres(views.w2c) - camera_centres(query.w2c)).norm(dim=1)
    nearest = distance.argsort(stable=True)[:count].sort().values
    parts = {name: part for name, part in vars(views).items() if isinstance(part, torch.Tensor)}
    return views.replace(**{name: part[nearest] for name, part in parts.items()})


def with_nearest_views(batch: SceneBatch) -> SceneBatch:
    """Return the batch with the nearest references alone.

    Cost volumes need the others for what they are made of: a batch for these stays as it is.
    """
    if batch.sources is not None:
        return batch
    return SceneBatch(batch.query, nearest_views(batch.references, batch.query), batch.pixels_xy)
