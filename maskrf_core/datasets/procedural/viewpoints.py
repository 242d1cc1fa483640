"""Cameras of the demo scenes: a jittered spiral over a dome, all looking near the scene's middle."""

import numpy as np
from jaxtyping import Float

AZIMUTH_STEP = np.radians(55)
"""Spreads 20 views almost as evenly as the golden angle (neighbours 23° to 27° apart, more without ground), and unlike
it puts every fifth view on another side of the scene, so that the query views surround it."""


def dome_cameras(
    vertices: Float[np.ndarray, "vertex 3"], count: int, image_size: int, *, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "view 3 3"], Float[np.ndarray, "view 3 4"]]:
    """K and w2c (OpenCV axes; the first pixel's centre is (0, 0)) of `count` cameras around `vertices` (z up).

    The scene just fills each frame. One that reaches below z = -0.2 has no ground and is also
    seen from below.
    """
    target = 0.5 * (vertices.min(0) + vertices.max(0))
    reach = np.linalg.norm(vertices - target, axis=1).max()
    lowest, highest = (-30, 60) if vertices[:, 2].min() < -0.2 else (12, 68)
    heights = np.linspace(np.sin(np.radians(lowest)), np.sin(np.radians(highest)), count)
    start = rng.uniform(0, 2 * np.pi)
    K, w2c = np.zeros((count, 3, 3)), np.zeros((count, 3, 4))
    for view, height in enumerate(heights):
        azimuth = start + view * AZIMUTH_STEP + rng.uniform(-0.12, 0.12)
        elevation = np.arcsin(height) + np.radians(rng.uniform(-4, 4))
        distance = rng.uniform(2.6, 3.4) * reach
        across = np.cos(elevation)
        outward = np.array([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)])
        aim = target + rng.uniform(-0.05, 0.05, 3)
        w2c[view] = _look_at(aim + distance * outward, aim, roll=np.radians(rng.uniform(-6, 6)))
        x, y, z = w2c[view, :, :3] @ vertices.T + w2c[view, :, 3:]
        filled = max(np.abs(x / z).max(), np.abs(y / z).max())
        focal, centre = rng.uniform(0.92, 1.04) * image_size / 2 / filled, (image_size - 1) / 2
        K[view] = [[focal, 0, centre], [0, focal, centre], [0, 0, 1]]
    return K, w2c


def _look_at(position: Float[np.ndarray, "3"], aim: Float[np.ndarray, "3"], roll: float) -> Float[np.ndarray, "3 4"]:
    forward = (aim - position) / np.linalg.norm(aim - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
    rotation = np.stack([right, down, forward])
    return np.column_stack([rotation, -rotation @ position])
