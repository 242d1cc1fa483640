"""Kernel B: the samples of one ray attend to each other, get a density and are composited.

One program has one ray, and all of its samples on the chip. `RenderPass` and `volume_render` say the same plainly.
"""

from typing import no_type_check

import triton
import triton.language as tl

from maskrf_core.model.fast.kernel_parts import dense, dot, elu, product, relu, row, score
from maskrf_core.model.fast.kernel_weights import RAY_LAYERS, places

HEADS, OF_HEAD = tl.constexpr(4), tl.constexpr(4)  # dimensions; a head's product takes all 16, the others' being 0

_AT = places(RAY_LAYERS)
QUERY, KEY, VALUE = tl.constexpr(_AT["query"]), tl.constexpr(_AT["key"]), tl.constexpr(_AT["value"])
OUTPUT = tl.constexpr(_AT["output"])
NORM_WEIGHT, NORM_BIAS = tl.constexpr(_AT["norm.weight"]), tl.constexpr(_AT["norm.bias"])
DENSITY_0, DENSITY_2 = tl.constexpr(_AT["density.0"]), tl.constexpr(_AT["density.2"])


@triton.jit
@no_type_check
def attention_of_head(query, key, head, added, PRECISION: tl.constexpr):
    """Return how much each sample attends to each other in a head: rows sum to 1. `added` is a row of the scores."""
    mine = (tl.arange(0, 16) // OF_HEAD == head)[None, :]
    scores = dot(tl.where(mine, query, 0.0), tl.trans(key), PRECISION) * 0.5 + added
    attention = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    return attention / tl.sum(attention, axis=1)[:, None]


@triton.jit
@no_type_check
def normalised(x):
    """Return a row with mean 0 and variance 1 over its 16 channels, and what it was multiplied by."""
    x -= (tl.sum(x, axis=1) / 16.0)[:, None]
    scale = 1.0 / tl.sqrt(tl.sum(x * x, axis=1) / 16.0 + 1e-6)
    return x * scale[:, None], scale


@triton.jit
@no_type_check
def loaded(geometry, encoding, index, seen_by, weight, depths, at, place, there, INDEXED: tl.constexpr):
    """Load the samples: features with the encoding of their places, views that see them, depths, and what is added to
    the scores of those that are attended to."""
    channel = tl.arange(0, 16)
    if INDEXED:
        place = tl.load(index + at, mask=there, other=0)
        count = tl.load(weight + at, mask=there, other=1.0)
    else:
        count = tl.where(there, 1.0, 1.0)
    x = tl.load(geometry + at[:, None] * 16 + channel[None, :], mask=there[:, None], other=0.0)
    x += tl.load(encoding + place[:, None] * 16 + channel[None, :], mask=there[:, None], other=0.0)
    views = tl.load(seen_by + at, mask=there, other=0)
    depth = tl.load(depths + at, mask=there, other=0.0)
    return x, views, depth, count, tl.where(there, tl.log(count), float("-inf"))[None, :]


@triton.jit
@no_type_check
def attended(x, views, added, weights, PRECISION: tl.constexpr, S: tl.constexpr):
    """Return what the samples have after the attention, before the norm."""
    query = product(x, weights, QUERY, 16, 16, PRECISION) * (views > 1).to(tl.float32)[:, None]
    key = product(x, weights, KEY, 16, 16, PRECISION)
    value = product(x, weights, VALUE, 16, 16, PRECISION)
    taken = tl.zeros([S, 16], tl.float32)
    for head in tl.static_range(HEADS):
        attention = attention_of_head(query, key, head, added, PRECISION)
        mine = (tl.arange(0, 16) // OF_HEAD == head)[None, :]
        taken += dot(attention, tl.where(mine, value, 0.0), PRECISION)
    return x + product(taken, weights, OUTPUT, 16, 16, PRECISION)


@triton.jit
@no_type_check
def composited(density):
    """Return alpha, what passes each sample, what reaches it, and its hit probability."""
    alpha = 1.0 - tl.exp(-density)
    passes = 1.0 - alpha + 1e-10
    reaches = tl.cumprod(passes, axis=0) / passes
    return alpha, passes, reaches, alpha * reaches


@triton.jit
@no_type_check
def density_of(x, views, count, there, weights, PRECISION: tl.constexpr):
    """Return the density of samples with features x, its value before it is scaled, its scale, and the hidden layer."""
    hidden = elu(dense(x, weights, DENSITY_0, 16, 16, PRECISION))
    value = relu(score(hidden, weights, DENSITY_2, 16))
    scale = tl.where(there, (views > 0).to(tl.float32) * count, 0.0)
    return value * scale, value, scale, hidden


@triton.jit(do_not_specialize=["samples", "rays", "room"])
@no_type_check
def ray_kernel(
    weights, geometry, encoding, index, weight, seen_by, colours, depths,
    scene_features, densities, rgb, expected_depth, hits, samples,
    INDEXED: tl.constexpr, PRECISION: tl.constexpr, S: tl.constexpr,
):  # fmt: skip
    """Write scene features, densities and hit probabilities of a ray's samples, and its colour and depth."""
    ray, place = tl.program_id(0), tl.arange(0, S)
    there = place < samples
    at = ray.to(tl.int64) * samples + place
    x, views, depth, count, added = loaded(
        geometry, encoding, index, seen_by, weight, depths, at, place, there, INDEXED
    )
    x = attended(x, views, added, weights, PRECISION, S)
    x, _ = normalised(x)
    x = x * row(weights, NORM_WEIGHT, 16)[None, :] + row(weights, NORM_BIAS, 16)[None, :]
    density, _, _, _ = density_of(x, views, count, there, weights, PRECISION)
    _, _, _, hit = composited(density)
    channel = tl.arange(0, 16)
    tl.store(scene_features + at[:, None] * 16 + channel[None, :], x, mask=there[:, None])
    tl.store(densities + at, density, mask=there)
    tl.store(hits + at, hit, mask=there)
    tl.store(expected_depth + ray, tl.sum(hit * depth, axis=0))
    for k in tl.static_range(3):
        colour = tl.load(colours + at * 3 + k, mask=there, other=0.0)
        tl.store(rgb + ray * 3 + k, tl.sum(hit * colour, axis=0))
