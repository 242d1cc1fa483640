"""Worlds far from their origin, as in geographic coordinates, moved to it before anything is rounded to float32.

In float32 a coordinate of 4,000,000 metres is known to half a metre. What counts is how far cameras are from each
other: coordinates up to a hundred times that stay as the files have them, so that published scenes keep their numbers.
"""

import numpy as np
from jaxtyping import Float

FARTHEST = 100.0  # distance of the origin over that between cameras from which on a world is moved


def recentring_shift(w2c: Float[np.ndarray, "view 3 4"]) -> Float[np.ndarray, "3"]:
    """Return what to take from world coordinates: the median camera centre, or zero if the origin is near enough."""
    centres = -np.linalg.solve(w2c[:, :, :3], w2c[:, :, 3:])[..., 0]
    middle = np.median(centres, axis=0)
    distance = np.median(np.linalg.norm(centres - middle, axis=1))  # a camera that is far off on its own is no measure
    return middle if np.linalg.norm(middle) > FARTHEST * distance else np.zeros(3)


def moved_world(w2c: Float[np.ndarray, "*view 3 4"], shift: Float[np.ndarray, "3"]) -> Float[np.ndarray, "*view 3 4"]:
    """Return the cameras of the world whose coordinates are those of the files less `shift`, all in float64."""
    moved = np.array(w2c, np.float64)
    moved[..., 3] += moved[..., :3] @ shift
    return moved
