"""Procedural bitmaps, all tileable, in linear RGB."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

SIZE = 256
Field = Float[np.ndarray, "height width"]
Picture = Float[np.ndarray, "height width 3"]
Palette = Float[np.ndarray, "colour 3"]
X, Y = np.meshgrid(*2 * [(np.arange(SIZE) + 0.5) / SIZE])
PAINTERS_HUES = [0, 0.075, 0.15, 0.36, 0.58, 0.76, 1]  # red, orange, yellow, green, blue, violet, red: less green


def draw_palette(hue: float, *, rng: np.random.Generator) -> Palette:
    """Draw a light, a dark, a bright and a middle colour in linear RGB, around one or two or three hues.

    `hue` counts turns of the painters' wheel.
    """
    hues = hue + rng.choice([[0, 0.08, 0.5, 0.55], [0, 0.33, 0.66, 0.1], [0, 0.05, -0.06, 0.5], [0, 0.5, 0.02, 0.45]])
    hues = np.interp(hues % 1, np.linspace(0, 1, 7), PAINTERS_HUES)
    saturation = rng.uniform(0.35, 0.9, 4)
    value = np.array([0.95, 0.3, 0.85, 0.55]) * rng.uniform(0.8, 1.0, 4)
    saturation[0] *= rng.uniform(0.1, 0.9)
    k = (np.array([5, 3, 1]) + 6 * hues[:, None]) % 6
    return (value[:, None] * (1 - saturation[:, None] * np.clip(np.minimum(k, 4 - k), 0, 1))) ** 2.2


def smooth_noise(falloff: float, *, rng: np.random.Generator) -> Field:
    """Draw tileable noise in [0, 1], uniformly distributed: white noise with spectrum 1 / frequency**falloff."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE) * SIZE, np.fft.fftfreq(SIZE) * SIZE))
    frequency[0, 0] = 1
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIZE, SIZE))) / frequency**falloff).real
    return field.ravel().argsort().argsort().reshape(SIZE, SIZE) / (SIZE**2 - 1)


def _ramp(field: Field, palette: Palette) -> Picture:
    """Colour a field in [0, 1] by blending from the palette's first colour to its last."""
    stops = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(field, stops, palette[:, channel]) for channel in range(3)], -1)


def _checker(palette: Palette, rng: np.random.Generator) -> Picture:
    n = rng.choice([4, 4, 6])
    colour = (np.floor(n * X) + np.floor(n * Y)).astype(int) % 2
    rows = np.floor(n * Y).astype(int) % 4 // 2
    return palette[np.where(colour, 0, 1 + rows)]


def _stripes(palette: Palette, rng: np.random.Generator) -> Picture:
    a, b = rng.choice([[0, 2], [2, 2], [3, 0], [1, 2], [3, 1]])
    return palette[np.floor(4 * (a * X + b * Y)).astype(int) % 4]


def _zigzag(palette: Palette, rng: np.random.Generator) -> Picture:
    fold = np.abs((X * rng.choice([3, 4]) % 1) - 0.5)
    return palette[np.floor(3 * (3 * Y + 1.2 * fold)).astype(int) % 3]


def _dots(palette: Palette, rng: np.random.Generator) -> Picture:
    n = rng.choice([3, 4, 5])
    centre = np.hypot(n * X % 1 - 0.5, n * Y % 1 - 0.5)
    cell = (np.floor(n * X) + 2 * np.floor(n * Y)).astype(int) % 3
    return np.where((centre < 0.33)[..., None], palette[1 + cell], palette[0])


def _bricks(palette: Palette, rng: np.random.Generator) -> Picture:
    rows, columns = 6, 3
    row = np.floor(rows * Y).astype(int)
    across, down = columns * X + 0.5 * (row % 2), rows * Y % 1
    mortar = (across % 1 < 0.08) | (down < 0.16)
    shade = rng.uniform(0.55, 1.0, (rows, columns))[row, np.floor(across).astype(int) % columns]
    return np.where(mortar[..., None], palette[0], palette[3] * shade[..., None])


def _plaid(palette: Palette, rng: np.random.Generator) -> Picture:
    pattern = palette[rng.integers(0, 4, 10)]
    return 0.5 * (pattern[np.floor(10 * X).astype(int)] + pattern[np.floor(10 * Y).astype(int)])


def _cells(palette: Palette, rng: np.random.Generator) -> Picture:
    seeds = rng.uniform(size=(rng.choice([10, 18, 28]), 2))
    apart = np.abs(np.stack([X, Y], -1)[:, :, None] - seeds)
    squared = (np.minimum(apart, 1 - apart) ** 2).sum(-1)
    distance = np.partition(squared, 1, axis=-1) ** 0.5
    nearest = squared.argmin(-1)
    edge = distance[..., 1] - distance[..., 0] < 0.02
    return np.where(edge[..., None], palette[1], palette[[0, 2, 3]][nearest % 3])


def _confetti(palette: Palette, rng: np.random.Generator) -> Picture:
    picture = np.broadcast_to(palette[0], (SIZE, SIZE, 3)).copy()
    for _ in range(40):
        centre, angle, length = rng.uniform(size=2), rng.uniform(0, np.pi), rng.uniform(0.05, 0.13)
        dx, dy = (X - centre[0] + 0.5) % 1 - 0.5, (Y - centre[1] + 0.5) % 1 - 0.5
        along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        picture[(along / length) ** 2 + (across / (0.45 * length)) ** 2 < 1] = palette[rng.integers(1, 4)]
    return picture


def _marble(palette: Palette, rng: np.random.Generator) -> Picture:
    veins = np.sin(2 * np.pi * (3 * X + 2 * Y + 1.6 * smooth_noise(2.2, rng=rng)))
    return _ramp(0.5 + 0.5 * veins, palette[[1, 0, 2]])


def _patchwork(palette: Palette, rng: np.random.Generator) -> Picture:
    """Lay a fine picture over a coarse one where a third says so: edges of every scale."""
    kinds = [paint for paint in PAINTED if paint is not _zigzag]  # which only the demo's test scenes show
    coarse, fine = (kinds[rng.integers(len(kinds))](palette[rng.permutation(4)], rng) for _ in range(2))
    repeats = int(rng.choice([2, 4, 8]))
    shown = smooth_noise(2.4, rng=rng)[..., None] > rng.uniform(0.3, 0.7)
    return np.where(shown, np.tile(fine, (repeats, repeats, 1))[::repeats, ::repeats], coarse)


PAINTED = (_checker, _stripes, _zigzag, _dots, _bricks, _plaid, _cells, _confetti, _marble)
TEXTURES: dict[str, Callable[[Palette, np.random.Generator], Picture]] = {
    **{paint.__name__.removeprefix("_"): paint for paint in PAINTED},
    "speckle": lambda palette, rng: _ramp(smooth_noise(1.5, rng=rng), palette[[1, 3, 2, 0]]),
    "clouds": lambda palette, rng: _ramp(smooth_noise(2.2, rng=rng), palette[[1, 2, 0]]),
    "camouflage": lambda palette, rng: palette[np.minimum(4 * smooth_noise(2.1, rng=rng), 3).astype(int)],
    "patchwork": _patchwork,
    "contours": lambda palette, rng: palette[np.floor(9 * smooth_noise(2.6, rng=rng)).astype(int) % 2 * 2],
}


def make_texture(kind: str, hue: float, *, rng: np.random.Generator) -> Picture:
    """Make a SIZE×SIZE picture of one kind in colours around a hue (in turns), linear RGB in [0, 1]."""
    return TEXTURES[kind](draw_palette(hue, rng=rng), rng)
