"""Where the cameras of made scenes stand: around objects, around a table, in a row, on a walk."""

import numpy as np
from jaxtyping import Float

Cameras = tuple[Float[np.ndarray, "view 3 3"], Float[np.ndarray, "view 3 4"]]
AZIMUTH_STEP = np.radians(55)
"""Spreads 20 views almost as evenly as the golden angle (neighbours 23° to 27° apart, more without ground), and unlike
it puts every fifth view on another side of the scene, so that the query views surround it."""
GOLDEN = 0.618034  # steps of this share fill an interval evenly, however many they are


def look_at(position: np.ndarray, aim: np.ndarray, roll: float) -> Float[np.ndarray, "3 4"]:
    """Return world to camera (OpenCV axes, the world's z up) of a camera turned about its axis by `roll` radians."""
    forward = (aim - position) / np.linalg.norm(aim - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
    rotation = np.stack([right, down, forward])
    return np.column_stack([rotation, -rotation @ position])


def intrinsics(field_of_view: float, image_size: int) -> Float[np.ndarray, "3 3"]:
    """Return K of a square picture, the first pixel's centre at (0, 0); the field of view in radians, side to side."""
    focal, centre = image_size / 2 / np.tan(field_of_view / 2), (image_size - 1) / 2
    return np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]])


def dome_cameras(
    vertices: Float[np.ndarray, "vertex 3"],
    count: int,
    image_size: int,
    distance: tuple[float, float] = (2.6, 3.4),
    *,
    rng: np.random.Generator,
) -> Cameras:
    """Place `count` cameras on a spiral around `vertices` (z up), so many times their reach away: K and w2c.

    All look near the scene's middle, which just fills each frame. A scene that reaches below z = -0.2 has no ground and
    is also seen from below.
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
        away = rng.uniform(*distance) * reach
        aim = target + rng.uniform(-0.05, 0.05, 3)
        w2c[view] = look_at(aim + away * _direction(azimuth, elevation), aim, np.radians(rng.uniform(-6, 6)))
        x, y, z = w2c[view, :, :3] @ vertices.T + w2c[view, :, 3:]
        filled = max(np.abs(x / z).max(), np.abs(y / z).max())
        focal, centre = rng.uniform(0.92, 1.04) * image_size / 2 / filled, (image_size - 1) / 2
        K[view] = [[focal, 0, centre], [0, focal, centre], [0, 0, 1]]
    return K, w2c


def arc_cameras(
    target: np.ndarray, away: float, count: int, field_of_view: float, image_size: int, *, rng: np.random.Generator
) -> Cameras:
    """Place `count` cameras about `away` from the target, on an arc of 80° or more or all around, looking down at it.

    The narrower the arc, the nearer the views.
    """
    arc = 2 * np.pi if rng.random() < 0.4 else np.radians(rng.uniform(80, 200))
    low = rng.uniform(8, 25)
    high, start = low + rng.uniform(15, 35), rng.uniform(0, 2 * np.pi)
    w2c = []
    for view in range(count):
        azimuth = start + arc * (view * GOLDEN % 1)
        elevation = np.radians(low + (high - low) * (view + 0.5) / count)
        aim = target + rng.uniform(-0.12, 0.12, 3)
        position = aim + away * rng.uniform(0.88, 1.0) * _direction(azimuth, elevation)
        w2c.append(look_at(position, aim, np.radians(rng.uniform(-6, 6))))
    return np.stack([intrinsics(field_of_view, image_size)] * count), np.stack(w2c)


def row_cameras(
    middle: np.ndarray, aim: np.ndarray, count: int, field_of_view: float, image_size: int, *, rng: np.random.Generator
) -> Cameras:
    """Place `count` cameras side by side and above each other around one position, all looking forward, as LLFF's."""
    spread = rng.uniform(0.12, 0.4) * np.array([1.0, 0.25, 0.6])
    w2c = []
    for view in range(count):
        across = np.array([view * GOLDEN % 1, rng.random(), (view + 0.5) / count]) * 2 - 1
        towards = aim + rng.uniform(-0.15, 0.15, 3)
        w2c.append(look_at(middle + spread * across, towards, np.radians(rng.uniform(-3, 3))))
    return np.stack([intrinsics(field_of_view, image_size)] * count), np.stack(w2c)


def walk_cameras(
    start: np.ndarray, end: np.ndarray, count: int, field_of_view: float, image_size: int, *, rng: np.random.Generator
) -> Cameras:
    """Place `count` cameras one after the other on a swaying walk, each looking ahead and a little around."""
    sway, turn, phase = rng.uniform(0.05, 0.25), np.radians(rng.uniform(4, 16)), rng.uniform(0, 2 * np.pi)
    ahead = (end - start) / np.linalg.norm(end - start)
    aside = np.array([ahead[1], -ahead[0], 0.0])
    w2c = []
    for share in np.linspace(0, 1, count):
        swing = 2 * np.pi * share + phase
        position = start + share * (end - start) + sway * np.sin(swing) * aside + [0, 0, 0.06 * np.sin(2 * swing)]
        direction = ahead + np.tan(turn * np.cos(swing)) * aside + [0, 0, rng.uniform(-0.2, 0.0)]
        w2c.append(look_at(position, position + direction, np.radians(rng.uniform(-3, 3))))
    return np.stack([intrinsics(field_of_view, image_size)] * count), np.stack(w2c)


def _direction(azimuth: float, elevation: float) -> Float[np.ndarray, "3"]:
    across = np.cos(elevation)
    return np.array([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)])
