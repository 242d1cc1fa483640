"""What a made scene holds before it is photographed: painted objects, light and cameras."""

from itertools import cycle
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.procedural.shapes import Mesh
from maskrf_core.datasets.procedural.textures import make_texture

HUE_STEP = 0.382  # of the golden ratio: keeps the hues of all objects apart, however many they are


class Item(NamedTuple):
    """One object: mesh, colours (linear RGB) with their number of repeats, material, roughness, light that it sends.

    `emission` counts times the colours, as radiance in front of each face; 0 for all but lamps and windows.
    """

    mesh: Mesh
    texture: Float[np.ndarray, "height width 3"]
    repeats: tuple[float, float]
    material: str
    roughness: float
    emission: float = 0.0


class Contents(NamedTuple):
    """A whole scene, z up. Without an environment (linear RGB, latitude rows) it is closed all around.

    The environment is not seen: where there is nothing, pictures show the background (linear RGB; none: black).
    """

    items: list[Item]
    environment: Float[np.ndarray, "height width 3"] | None
    K: Float[np.ndarray, "view 3 3"]
    w2c: Float[np.ndarray, "view 3 4"]
    image_size: int
    background: Float[np.ndarray, "3"] | None = None


def paint(meshes: list[Mesh], textures: list[str], *, rng: np.random.Generator) -> list[Item]:
    """Give each mesh a material and one of the kinds of texture, in turns, with a hue of its own."""
    pictures = cycle(rng.permutation(textures).tolist())
    first_hue = rng.uniform()
    items = []
    for index, mesh in enumerate(meshes):
        material = str(rng.choice(["diffuse", "plastic", "metal"], p=[0.35, 0.45, 0.2]))
        roughness = float(rng.uniform(0.06, 0.25) if material == "plastic" else rng.uniform(0.2, 0.4))
        repeats = (float(rng.choice([1, 2])), 1.0)
        texture = make_texture(next(pictures), first_hue + HUE_STEP * index, rng=rng)
        items.append(Item(mesh, texture, repeats, material, roughness))
    return items
