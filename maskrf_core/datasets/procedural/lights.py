"""Light of scenes that stand in the open: a picture of all that surrounds them."""

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.procedural.textures import smooth_noise


def studio_light(rng: np.random.Generator) -> Float[np.ndarray, "height width 3"]:
    """Light a studio: dim tinted surroundings, a strong soft box and two weak ones; level white is overexposed."""
    height, width = 64, 128
    polar, azimuth = np.meshgrid(
        (np.arange(height) + 0.5) * np.pi / height, (np.arange(width) + 0.5) * 2 * np.pi / width, indexing="ij"
    )
    towards = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], -1)
    solid_angle = np.sin(polar) * (np.pi / height) * (2 * np.pi / width)
    level = np.clip(towards[..., 2], 0, None) * solid_angle / np.pi

    def tint(strength: float) -> Float[np.ndarray, "3"]:
        warm = rng.uniform(-strength, strength)
        return np.array([1 + warm, 1.0, 1 - warm])

    light = (0.75 + 0.25 * towards[..., 2:]) * (0.8 + 0.4 * smooth_noise(2.0, rng=rng)[::4, ::2, None]) * tint(0.15)
    light *= 0.6 / (light.mean(-1) * level).sum()
    share = [
        (0.52, 0.3, rng.uniform(0.5, 0.9)),
        (0.08, 0.25, rng.uniform(0.9, 1.3)),
        (0.07, 0.2, rng.uniform(0.9, 1.4)),
    ]
    start = rng.uniform(0, 2 * np.pi)
    for k, (energy, radius, inclination) in enumerate(share):
        around = start + k * 2.1 + rng.uniform(-0.4, 0.4)
        axis = [np.sin(inclination) * np.cos(around), np.sin(inclination) * np.sin(around), np.cos(inclination)]
        box = np.clip((radius - np.arccos(np.clip(towards @ axis, -1, 1))) / 0.05, 0, 1)[..., None] * tint(0.25)
        light = light + box * energy / (box.mean(-1) * level).sum()
    return light
