"""Depth ranges of views from the points of a scene."""

import numpy as np
from jaxtyping import Float

PERCENTILES = (2, 98)
NEAR_MARGIN, FAR_MARGIN = 0.8, 1.2


def range_from_depths(depths: Float[np.ndarray, "point"]) -> tuple[float, float]:
    """(near, far) from z-depths > 0: their 2nd and 98th percentile, with a fifth of margin on both sides."""
    near, far = np.percentile(depths, PERCENTILES)
    return float(near) * NEAR_MARGIN, float(far) * FAR_MARGIN


def depths_in(w2c: Float[np.ndarray, "3 4"], points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point"]:
    """z-depth of points in a camera, negative behind it."""
    return points @ w2c[2, :3] + w2c[2, 3]
