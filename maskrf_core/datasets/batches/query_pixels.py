"""Which pixels of the query a training step renders."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.datasets.data_set import RayRule

ON_FOREGROUND, IN_CENTRE = 0.5, 0.9  # shares of the rays
EDGE = 0.1  # share of a side that the centre leaves at either end


def draw_pixels(
    query: Views, count: int, rule: RayRule = "foreground", *, generator: np.random.Generator
) -> Float[Tensor, "{count} 2"]:
    """Draw pixels (x, y) of the query: a share of them on the foreground or in the centre, the rest of all others.

    None is drawn twice, unless the picture has fewer than `count`. Where there are too few of the foreground, others
    stand in. A query without a mask is foreground everywhere.
    """
    height, width = query.image_size
    if rule == "centre":
        share, preferred = IN_CENTRE, np.flatnonzero(centre(height, width))
    else:
        share = ON_FOREGROUND
        preferred = np.arange(height * width) if query.masks is None else np.flatnonzero(query.masks[0].numpy())
    first = generator.choice(preferred, min(int(share * count), len(preferred)), replace=False)
    others = np.ones(height * width, bool)
    others[first] = False
    rest = generator.choice(np.flatnonzero(others), min(count, height * width) - len(first), replace=False)
    again = generator.integers(height * width, size=max(0, count - height * width))
    flat = np.concatenate([first, rest, again])
    return torch.from_numpy(np.stack([flat % width, flat // width], axis=-1)).float()


def centre(height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
    """Return the mask of the central 80 % of a picture in both directions."""
    top, left = int(EDGE * height), int(EDGE * width)
    mask = np.zeros((height, width), bool)
    mask[top : height - top, left : width - left] = True
    return mask
