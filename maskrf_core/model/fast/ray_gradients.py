"""The backward pass of kernel B, which computes a ray again."""

from typing import no_type_check

import triton
import triton.language as tl

from maskrf_core.model.fast.kernel_parts import (
    dense_gradient,
    dot,
    product,
    product_gradient,
    row,
    row_gradient,
    score_gradient,
    slope,
)
from maskrf_core.model.fast.ray_kernel import (
    DENSITY_0,
    DENSITY_2,
    HEADS,
    KEY,
    NORM_BIAS,
    NORM_WEIGHT,
    OF_HEAD,
    OUTPUT,
    QUERY,
    VALUE,
    attention_of_head,
    composited,
    density_of,
    loaded,
    normalised,
)


@triton.jit
@no_type_check
def density_gradient(of_hit, density):
    """Return what the densities have of the hit probabilities."""
    _, passes, reaches, hit = composited(density)
    behind = tl.cumsum(of_hit * hit, axis=0, reverse=True) - of_hit * hit
    return (reaches * of_hit - behind / passes) * tl.exp(-density)


@triton.jit
@no_type_check
def norm_gradient(of_y, x, scale, weights, grads):
    """Return what the input of the norm has; x is what it makes before its own weights."""
    row_gradient(grads, NORM_WEIGHT, 16, of_y * x)
    row_gradient(grads, NORM_BIAS, 16, of_y)
    of_x = of_y * row(weights, NORM_WEIGHT, 16)[None, :]
    of_x -= (tl.sum(of_x, axis=1) / 16.0)[:, None] + x * (tl.sum(of_x * x, axis=1) / 16.0)[:, None]
    return of_x * scale[:, None]


@triton.jit
@no_type_check
def attention_gradient(of_y, x, taken, query, key, value, added, attends, weights, grads, PRECISION: tl.constexpr,
                       S: tl.constexpr):  # fmt: skip
    """Return what the samples have of the attention, the skip around it included."""
    of_taken = product_gradient(taken, of_y, weights, grads, OUTPUT, 16, 16, PRECISION)
    of_query, of_key = tl.zeros([S, 16], tl.float32), tl.zeros([S, 16], tl.float32)
    of_value = tl.zeros([S, 16], tl.float32)
    for head in tl.static_range(HEADS):
        mine = (tl.arange(0, 16) // OF_HEAD == head)[None, :]
        attention = attention_of_head(query, key, head, added, PRECISION)
        of_mine = tl.where(mine, of_taken, 0.0)
        of_value += dot(tl.trans(attention), of_mine, PRECISION)
        of_attention = dot(of_mine, tl.trans(value), PRECISION)
        of_scores = attention * (of_attention - tl.sum(of_attention * attention, axis=1)[:, None]) * 0.5
        of_query += tl.where(mine, dot(of_scores, key, PRECISION), 0.0)
        of_key += dot(tl.trans(of_scores), tl.where(mine, query, 0.0), PRECISION)
    of_x = of_y + product_gradient(x, of_query * attends[:, None], weights, grads, QUERY, 16, 16, PRECISION)
    of_x += product_gradient(x, of_key, weights, grads, KEY, 16, 16, PRECISION)
    return of_x + product_gradient(x, of_value, weights, grads, VALUE, 16, 16, PRECISION)


@triton.jit
@no_type_check
def of_hits(of_rgb, of_depth, of_hit, colours, of_colours, hit, depth, ray, at, there):
    """Return what the hit probabilities have of colour, depth and themselves, and store what the samples' colours
    have."""
    total = tl.load(of_hit + at, mask=there, other=0.0) + tl.load(of_depth + ray) * depth
    for k in tl.static_range(3):
        of_ray = tl.load(of_rgb + ray * 3 + k)
        total += of_ray * tl.load(colours + at * 3 + k, mask=there, other=0.0)
        tl.store(of_colours + at * 3 + k, of_ray * hit, mask=there)
    return total


@triton.jit(do_not_specialize=["samples", "rays", "room"])
@no_type_check
def ray_gradient_kernel(
    weights, geometry, encoding, index, weight, seen_by, colours, depths,
    of_features, of_densities, of_rgb, of_depth, of_hit, of_geometry, of_colours, weight_grads, room, rays, samples,
    INDEXED: tl.constexpr, PRECISION: tl.constexpr, S: tl.constexpr,
):  # fmt: skip
    """Write what geometry features and colours have of the outputs of kernel B, and add what its weights have."""
    program = tl.program_id(0)
    grads = weight_grads + program.to(tl.int64) * room
    place, channel = tl.arange(0, S), tl.arange(0, 16)
    there = place < samples
    for ray in range(program, rays, tl.num_programs(0)):
        at = ray * samples + place
        x, views, depth, count, added = loaded(
            geometry, encoding, index, seen_by, weight, depths, at, place, there, INDEXED
        )
        attends = (views > 1).to(tl.float32)
        query = product(x, weights, QUERY, 16, 16, PRECISION) * attends[:, None]
        key = product(x, weights, KEY, 16, 16, PRECISION)
        value = product(x, weights, VALUE, 16, 16, PRECISION)
        taken = tl.zeros([S, 16], tl.float32)
        for head in tl.static_range(HEADS):
            mine = (tl.arange(0, 16) // OF_HEAD == head)[None, :]
            attention = attention_of_head(query, key, head, added, PRECISION)
            taken += dot(attention, tl.where(mine, value, 0.0), PRECISION)
        plain, norm_scale = normalised(x + product(taken, weights, OUTPUT, 16, 16, PRECISION))
        y = plain * row(weights, NORM_WEIGHT, 16)[None, :] + row(weights, NORM_BIAS, 16)[None, :]
        density, of_relu, scale, hidden = density_of(y, views, count, there, weights, PRECISION)
        _, _, _, hit = composited(density)
        of_all_hits = of_hits(of_rgb, of_depth, of_hit, colours, of_colours, hit, depth, ray, at, there)
        of_value = density_gradient(of_all_hits, density) + tl.load(of_densities + at, mask=there, other=0.0)
        of_value = tl.where(of_relu > 0, of_value * scale, 0.0)
        of_hidden = score_gradient(hidden, of_value, weights, grads, DENSITY_2, 16) * slope(hidden)
        of_y = dense_gradient(y, of_hidden, weights, grads, DENSITY_0, 16, 16, PRECISION)
        of_y += tl.load(of_features + at[:, None] * 16 + channel[None, :], mask=there[:, None], other=0.0)
        of_y = tl.where(there[:, None], norm_gradient(of_y, plain, norm_scale, weights, grads), 0.0)
        of_x = attention_gradient(of_y, x, taken, query, key, value, added, attends, weights, grads, PRECISION, S)
        tl.store(of_geometry + at[:, None] * 16 + channel[None, :], of_x, mask=there[:, None])
