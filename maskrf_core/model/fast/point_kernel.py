"""Kernel A: a block of samples, looked at in every reference view, becomes what is known of each at its place.

One program has BLOCK samples and loops over the views twice: the first loop gathers mean and variance of the views'
features, the second computes each view's part again, in the light of these, and pools it. Between the loops nothing
leaves the chip. `RenderPass` says the same plainly, and judges the tests. docs/kernels.md says what is where.
"""

from typing import no_type_check

import triton
import triton.language as tl

from maskrf_core.model.fast.kernel_parts import (
    COLOURS,
    dense,
    elu,
    product,
    row,
    score,
    sigmoid,
    with_value,
)
from maskrf_core.model.fast.kernel_views import embedded, feature, look, points_of
from maskrf_core.model.fast.kernel_weights import POINT_LAYERS, places

# A kernel is compiled once, and not anew for sizes that are 1 or multiples of 16, nor for parts of a larger tensor.
SIZES = ["step", "masked", "room", "numbers", "views", "samples", "width", "height", "columns", "rows"]
PARTS = ["origin", "directions", "depths", "before", "behind", "masks", "of_geometry", "of_colours"]

_AT = places(POINT_LAYERS)
TRUST_0, TRUST_2 = tl.constexpr(_AT["trust.0"]), tl.constexpr(_AT["trust.2"])
BASE_0, BASE_2 = tl.constexpr(_AT["base.0"]), tl.constexpr(_AT["base.2"])
BASE_OWN, BASE_BIAS = tl.constexpr(_AT["base.0"] + 4 * 48 * 64), tl.constexpr(_AT["base.0"] + (5 * 48 + 32) * 64)
RESIDUAL_0, RESIDUAL_2 = tl.constexpr(_AT["residual.0"]), tl.constexpr(_AT["residual.2"])
LOGIT = tl.constexpr(_AT["residual.2.logit"])
VISIBILITY_0, VISIBILITY_2 = tl.constexpr(_AT["visibility.0"]), tl.constexpr(_AT["visibility.2"])
GEOMETRY_0, GEOMETRY_2 = tl.constexpr(_AT["geometry.0"]), tl.constexpr(_AT["geometry.2"])
BLENDING_0, BLENDING_2 = tl.constexpr(_AT["blending.0"]), tl.constexpr(_AT["blending.2"])
BLENDING_4 = tl.constexpr(_AT["blending.4"])


@triton.jit
@no_type_check
def trust_of(embedding, weights, PRECISION: tl.constexpr):
    """Return how far a view is trusted in the statistics, in (0, 1), and the hidden layer."""
    hidden = elu(dense(embedding, weights, TRUST_0, 32, 16, PRECISION))
    return sigmoid(score(hidden, weights, TRUST_2, 16)), hidden


@triton.jit
@no_type_check
def base_of_statistics(mean_c, mean_i, variance_c, variance_i, weights, AT: tl.constexpr, PRECISION: tl.constexpr):
    """Multiply one of the two statistics by its rows of the first layer."""
    x = product(mean_c, weights, AT, 16, 64, PRECISION)
    x += product(mean_i, weights, AT + 16 * 64, 32, 64, PRECISION)
    x += product(variance_c, weights, AT + 48 * 64, 16, 64, PRECISION)
    return x + product(variance_i, weights, AT + 64 * 64, 32, 64, PRECISION)


@triton.jit
@no_type_check
def view_in_light_of_all(shared, feature_c, feature_i, embedding, valid, share, weights, PRECISION: tl.constexpr):
    """Return a view's feature (32), the visibility of the sample in it, and what came before these: for the backward
    pass."""
    hidden = shared + product(feature_c, weights, BASE_OWN, 16, 64, PRECISION)
    hidden += product(feature_i, weights, BASE_OWN + 16 * 64, 32, 64, PRECISION)
    hidden = elu(hidden + product(embedding, weights, BASE_OWN + 48 * 64, 32, 64, PRECISION))
    base = elu(dense(hidden, weights, BASE_2, 64, 32, PRECISION))
    of_base = elu(dense(base * share[:, None], weights, RESIDUAL_0, 32, 32, PRECISION))
    logit = elu(score(of_base, weights, LOGIT, 32))
    residual = elu(dense(of_base, weights, RESIDUAL_2, 32, 32, PRECISION))
    x = base + residual
    gate = sigmoid(logit) * valid
    seen = elu(dense(x * gate[:, None], weights, VISIBILITY_0, 32, 32, PRECISION))
    visible = sigmoid(score(seen, weights, VISIBILITY_2, 32)) * valid
    return x, visible, hidden, base, of_base, logit, residual, gate, seen


@triton.jit
@no_type_check
def blending_logit(x, visible, d0, d1, d2, d3, weights, PRECISION: tl.constexpr):
    """Return the logit of a view's share in the sample's colour, and the hidden layers."""
    hidden = product(x, weights, BLENDING_0, 32, 16, PRECISION) + row(weights, BLENDING_0 + 37 * 16, 16)[None, :]
    hidden = with_value(hidden, visible, weights, BLENDING_0 + 32 * 16, 16)
    hidden = with_value(hidden, d0, weights, BLENDING_0 + 33 * 16, 16)
    hidden = with_value(hidden, d1, weights, BLENDING_0 + 34 * 16, 16)
    hidden = with_value(hidden, d2, weights, BLENDING_0 + 35 * 16, 16)
    hidden = elu(with_value(hidden, d3, weights, BLENDING_0 + 36 * 16, 16))
    second = elu(dense(hidden, weights, BLENDING_2, 16, 16, PRECISION))
    return score(second, weights, BLENDING_4, 16), hidden, second


@triton.jit
@no_type_check
def added(mean, spread, values, weight, share):
    """Take another view into mean and weighted squares around it; `share` is its part of all weight so far."""
    difference = values - mean
    mean += share[:, None] * difference
    return mean, spread + weight[:, None] * difference * (values - mean)


@triton.jit
@no_type_check
def scaled(mean, spread, total, scale):
    """Return mean and variance as of weights times `scale`, which sum to `total` without it, not to one."""
    whole = total * scale
    around = whole[:, None] * mean  # the mean that such weights give
    return around, scale[:, None] * spread + whole[:, None] * (mean - around) * (mean - around)


@triton.jit
@no_type_check
def geometry_of(mean, variance, weight, weights, PRECISION: tl.constexpr):
    """Return the sample's feature (16), from all views, and the hidden layer."""
    hidden = product(mean, weights, GEOMETRY_0, 32, 64, PRECISION)
    hidden += product(variance, weights, GEOMETRY_0 + 32 * 64, 32, 64, PRECISION)
    hidden = with_value(hidden, weight, weights, GEOMETRY_0 + 64 * 64, 64)
    hidden = elu(hidden + row(weights, GEOMETRY_0 + 65 * 64, 64)[None, :])
    return elu(dense(hidden, weights, GEOMETRY_2, 64, 16, PRECISION)), hidden


@triton.jit
@no_type_check
def statistics(
    weights, step, images, maps, cameras, views, size, points, hidden,
    ZEROS: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Return means and variances over views, with either weights, the weights' sums, and the views' count."""
    count = tl.zeros([BLOCK], tl.float32)
    trusted = tl.zeros([BLOCK], tl.float32)
    c0, c1 = tl.zeros([BLOCK, COLOURS], tl.float32), tl.zeros([BLOCK, COLOURS], tl.float32)
    i0, i1 = tl.zeros([BLOCK, 32], tl.float32), tl.zeros([BLOCK, 32], tl.float32)
    vc0, vc1 = tl.zeros([BLOCK, COLOURS], tl.float32), tl.zeros([BLOCK, COLOURS], tl.float32)
    vi0, vi1 = tl.zeros([BLOCK, 32], tl.float32), tl.zeros([BLOCK, 32], tl.float32)
    for view in range(views):
        here = weights + view * step  # 0, which the compiler does not know: else it would keep all weights in registers
        valid, colour, image, ray, position, d0, d1, d2, d3 = look(view, images, maps, cameras, size, points)
        embedding = embedded(ray, position, points, valid, here, PRECISION)
        feature_c, feature_i = feature(colour, image, d0, d1, d2, d3, (hidden >> view) & 1, here, ZEROS, PRECISION)
        trust, _ = trust_of(embedding, here, PRECISION)
        trust *= valid
        count += valid
        trusted += trust
        share = valid / tl.maximum(count, 1.0)
        c1, vc1 = added(c1, vc1, feature_c, valid, share)
        i1, vi1 = added(i1, vi1, feature_i, valid, share)
        share = trust / tl.where(trusted > 0, trusted, 1.0)
        c0, vc0 = added(c0, vc0, feature_c, trust, share)
        i0, vi0 = added(i0, vi0, feature_i, trust, share)
    scale = 1.0 / (count + 1e-8)
    c0, vc0 = scaled(c0, vc0, trusted, scale)
    i0, vi0 = scaled(i0, vi0, trusted, scale)
    c1, vc1 = scaled(c1, vc1, count, scale)
    i1, vi1 = scaled(i1, vi1, count, scale)
    return c0, i0, vc0, vi0, trusted * scale, c1, i1, vc1, vi1, count * scale, count


@triton.jit
@no_type_check
def shared_of(found, weights, PRECISION: tl.constexpr):
    """Return what the first layer makes of the statistics, before its activation."""
    c0, i0, vc0, vi0, _, c1, i1, vc1, vi1, _, _ = found
    shared = base_of_statistics(c0, i0, vc0, vi0, weights, BASE_0, PRECISION)
    shared += base_of_statistics(c1, i1, vc1, vi1, weights, BASE_0 + 2 * 48 * 64, PRECISION)
    return shared + row(weights, BASE_BIAS, 64)[None, :]


@triton.jit
@no_type_check
def pooled(
    shared, share, weights, step, images, maps, cameras, views, size, points, hidden,
    ZEROS: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Return mean and variance of the views' features by visibility, the sum of these weights, their scale, the
    blended colour, and the highest logit and sum of exponentials of the blending."""
    total = tl.zeros([BLOCK], tl.float32)
    mean, spread = tl.zeros([BLOCK, 32], tl.float32), tl.zeros([BLOCK, 32], tl.float32)
    highest = tl.full([BLOCK], -1e30, tl.float32)  # logit so far; colours and `parts` are scaled by its exponential
    parts = tl.zeros([BLOCK], tl.float32)
    blended = tl.zeros([BLOCK, COLOURS], tl.float32)
    for view in range(views):
        here = weights + view * step
        valid, colour, image, ray, position, d0, d1, d2, d3 = look(view, images, maps, cameras, size, points)
        embedding = embedded(ray, position, points, valid, here, PRECISION)
        feature_c, feature_i = feature(colour, image, d0, d1, d2, d3, (hidden >> view) & 1, here, ZEROS, PRECISION)
        x, visible, _, _, _, _, _, _, _ = view_in_light_of_all(
            shared, feature_c, feature_i, embedding, valid, share * valid, here, PRECISION
        )
        total += visible
        mean, spread = added(mean, spread, x, visible, visible / tl.where(total > 0, total, 1.0))
        logit, _, _ = blending_logit(x, visible, d0, d1, d2, d3, here, PRECISION)
        higher = tl.maximum(highest, tl.where(valid > 0, logit, highest))
        part = tl.exp(tl.minimum(logit - higher, 0.0)) * valid
        fade = tl.exp(highest - higher)
        highest, parts = higher, parts * fade + part
        blended = blended * fade[:, None] + part[:, None] * colour
    scale = 1.0 / (total + 1e-8)
    mean, spread = scaled(mean, spread, total, scale)
    blended = blended / tl.where(parts > 0, parts, 1.0)[:, None]
    return mean, spread, total * scale, scale, blended, highest, parts


@triton.jit(do_not_specialize=SIZES, do_not_specialize_on_alignment=PARTS)
@no_type_check
def point_kernel(
    weights, step, images, maps, cameras, origin, directions, depths, before, behind, masks, masked,
    geometry, colours, seen_by, numbers, views, samples, width, height, columns, rows,
    ZEROS: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write geometry feature (16), blended colour (3) and number of views of the samples, of which there are
    `numbers`."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < numbers
    size = (width, height, columns, rows)
    points = points_of(origin, directions, depths, before, behind, at, inside, samples)
    hidden = tl.load(masks + at * masked, mask=inside, other=0)
    found = statistics(weights, step, images, maps, cameras, views, size, points, hidden, ZEROS, PRECISION, BLOCK)
    count = found[10]
    mean, variance, weight, _, blended, _, _ = pooled(
        shared_of(found, weights, PRECISION), 1.0 / (count + 1e-8), weights, step, images, maps, cameras, views, size,
        points, hidden, ZEROS, PRECISION, BLOCK,
    )  # fmt: skip
    of_all, _ = geometry_of(mean, variance, weight / views, weights, PRECISION)
    channel, colour_channel = tl.arange(0, 16), tl.arange(0, COLOURS)
    tl.store(geometry + at[:, None] * 16 + channel[None, :], of_all, mask=inside[:, None])
    shown = inside[:, None] & (colour_channel[None, :] < 3)
    tl.store(colours + at[:, None] * 3 + colour_channel[None, :], blended, mask=shown)
    tl.store(seen_by + at, count.to(tl.int64), mask=inside)
