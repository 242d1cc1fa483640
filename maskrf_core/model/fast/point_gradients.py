"""The backward pass of kernel A, which computes everything again and keeps nothing of a view but 80 numbers.

A program has one block of samples after the other, and sums what the weights have in a row of its own. The first loop
over the views gives the statistics, the second what is pooled, the third goes back from there to each view's own part
of the first layer, the fourth, which knows what the statistics have, from there to weights and maps.
"""

from typing import no_type_check

import triton
import triton.language as tl

from maskrf_core.model.fast.kernel_parts import (
    COLOURS,
    dense_gradient,
    mean_gradient,
    product_gradient,
    row_gradient,
    score_gradient,
    slope,
    value_gradient,
    values_gradient,
)
from maskrf_core.model.fast.kernel_views import embedded, feature, look, points_of
from maskrf_core.model.fast.point_kernel import (
    BASE_0,
    BASE_2,
    BASE_BIAS,
    BASE_OWN,
    BLENDING_0,
    BLENDING_2,
    BLENDING_4,
    GEOMETRY_0,
    GEOMETRY_2,
    LOGIT,
    PARTS,
    RESIDUAL_0,
    RESIDUAL_2,
    SIZES,
    TRUST_0,
    TRUST_2,
    VISIBILITY_0,
    VISIBILITY_2,
    blending_logit,
    geometry_of,
    pooled,
    shared_of,
    statistics,
    trust_of,
    view_in_light_of_all,
)
from maskrf_core.model.fast.view_gradients import embedding_gradient, feature_gradient, maps_gradient

KEPT = tl.constexpr(COLOURS + 64)  # numbers of a sample in a view that are kept from the third loop to the fourth


@triton.jit
@no_type_check
def blending_gradient(x, visible, d0, d1, d2, d3, hidden, second, of_logit, weights, grads, PRECISION: tl.constexpr):
    """Return what a view's feature and its visibility have of its logit."""
    of_hidden = score_gradient(second, of_logit, weights, grads, BLENDING_4, 16) * slope(second)
    of_hidden = dense_gradient(hidden, of_hidden, weights, grads, BLENDING_2, 16, 16, PRECISION) * slope(hidden)
    row_gradient(grads, BLENDING_0 + 33 * 16, 16, d0[:, None] * of_hidden)
    row_gradient(grads, BLENDING_0 + 34 * 16, 16, d1[:, None] * of_hidden)
    row_gradient(grads, BLENDING_0 + 35 * 16, 16, d2[:, None] * of_hidden)
    row_gradient(grads, BLENDING_0 + 36 * 16, 16, d3[:, None] * of_hidden)
    row_gradient(grads, BLENDING_0 + 37 * 16, 16, of_hidden)
    of_visible = value_gradient(visible, of_hidden, weights, grads, BLENDING_0 + 32 * 16, 16)
    return product_gradient(x, of_hidden, weights, grads, BLENDING_0, 32, 16, PRECISION), of_visible


@triton.jit
@no_type_check
def hidden_gradient(of_x, of_visible, seen_in_light, valid, share, weights, grads, PRECISION: tl.constexpr):
    """Return what the first layer, before its activation, has of a view's feature and visibility."""
    x, visible, hidden, base, of_base, logit, residual, gate, seen = seen_in_light
    of_seen = score_gradient(seen, of_visible * visible * (1.0 - visible), weights, grads, VISIBILITY_2, 32)
    of_gated = dense_gradient(x * gate[:, None], of_seen * slope(seen), weights, grads, VISIBILITY_0, 32, 32, PRECISION)
    of_x += of_gated * gate[:, None]
    # The gate is 0 or a logistic function of the logit.
    of_logit = tl.sum(of_gated * x, axis=1) * gate * (1.0 - gate) * slope(logit)
    back = score_gradient(of_base, of_logit, weights, grads, LOGIT, 32)
    back += dense_gradient(of_base, of_x * slope(residual), weights, grads, RESIDUAL_2, 32, 32, PRECISION)
    back = dense_gradient(base * share[:, None], back * slope(of_base), weights, grads, RESIDUAL_0, 32, 32, PRECISION)
    back = (of_x + back * share[:, None]) * slope(base)
    return dense_gradient(hidden, back, weights, grads, BASE_2, 64, 32, PRECISION) * slope(hidden)


@triton.jit
@no_type_check
def statistics_gradient(mean_c, mean_i, variance_c, variance_i, total, of_shared, weights, grads, AT: tl.constexpr,
                        PRECISION: tl.constexpr):  # fmt: skip
    """Return what means and variances have of the first layer."""
    of_mean_c = product_gradient(mean_c, of_shared, weights, grads, AT, 16, 64, PRECISION)
    of_mean_i = product_gradient(mean_i, of_shared, weights, grads, AT + 16 * 64, 32, 64, PRECISION)
    of_variance_c = product_gradient(variance_c, of_shared, weights, grads, AT + 48 * 64, 16, 64, PRECISION)
    of_variance_i = product_gradient(variance_i, of_shared, weights, grads, AT + 64 * 64, 32, 64, PRECISION)
    of_mean_c = mean_gradient(of_mean_c, of_variance_c, mean_c, total)
    return of_mean_c, mean_gradient(of_mean_i, of_variance_i, mean_i, total), of_variance_c, of_variance_i


@triton.jit
@no_type_check
def geometry_gradient(of_all, mean, variance, weight, weights, grads, PRECISION: tl.constexpr):
    """Return what mean, variance and mean weight have of the sample's feature."""
    made, hidden = geometry_of(mean, variance, weight, weights, PRECISION)
    of_hidden = dense_gradient(hidden, of_all * slope(made), weights, grads, GEOMETRY_2, 64, 16, PRECISION)
    of_hidden *= slope(hidden)
    row_gradient(grads, GEOMETRY_0 + 65 * 64, 64, of_hidden)
    of_mean = product_gradient(mean, of_hidden, weights, grads, GEOMETRY_0, 32, 64, PRECISION)
    of_variance = product_gradient(variance, of_hidden, weights, grads, GEOMETRY_0 + 32 * 64, 32, 64, PRECISION)
    return of_mean, of_variance, value_gradient(weight, of_hidden, weights, grads, GEOMETRY_0 + 64 * 64, 64)


@triton.jit
@no_type_check
def own_gradient(of_hidden, feature_c, feature_i, embedding, kept, weights, grads, PRECISION: tl.constexpr,
                 BLOCK: tl.constexpr):  # fmt: skip
    """Keep what a view's features and embedding have of the first layer."""
    of_c = product_gradient(feature_c, of_hidden, weights, grads, BASE_OWN, 16, 64, PRECISION)
    of_i = product_gradient(feature_i, of_hidden, weights, grads, BASE_OWN + 16 * 64, 32, 64, PRECISION)
    of_e = product_gradient(embedding, of_hidden, weights, grads, BASE_OWN + 48 * 64, 32, 64, PRECISION)
    at = kept + tl.arange(0, BLOCK)[:, None] * KEPT
    tl.store(at + tl.arange(0, COLOURS)[None, :], of_c)
    tl.store(at + COLOURS + tl.arange(0, 32)[None, :], of_i)
    tl.store(at + COLOURS + 32 + tl.arange(0, 32)[None, :], of_e)


@triton.jit
@no_type_check
def back_to_views(
    of_all, of_blended, found, weights, grads, kept, step, images, maps, cameras, views, size, points, hidden,
    ZEROS: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Go from what is pooled to each view's own part of the first layer; return what the shared part has."""
    shared, share = shared_of(found, weights, PRECISION), 1.0 / (found[10] + 1e-8)
    mean, variance, weight, scale, blended, highest, parts = pooled(
        shared, share, weights, step, images, maps, cameras, views, size, points, hidden,
        ZEROS, PRECISION, BLOCK,
    )  # fmt: skip
    of_mean, of_variance, of_weight = geometry_gradient(
        of_all, mean, variance, weight / views, weights, grads, PRECISION
    )
    of_mean = mean_gradient(of_mean, of_variance, mean, weight)
    of_weight = of_weight / views
    of_sum = tl.sum(mean * of_mean + variance * of_variance, axis=1) + weight * of_weight
    of_shared = tl.zeros([BLOCK, 64], tl.float32)
    for view in range(views):
        here = weights + view * step
        valid, colour, image, ray, position, d0, d1, d2, d3 = look(view, images, maps, cameras, size, points)
        embedding = embedded(ray, position, points, valid, here, PRECISION)
        feature_c, feature_i = feature(colour, image, d0, d1, d2, d3, (hidden >> view) & 1, here, ZEROS, PRECISION)
        found_here = view_in_light_of_all(
            shared, feature_c, feature_i, embedding, valid, share * valid, here, PRECISION
        )
        x, visible = found_here[0], found_here[1]
        logit, first, second = blending_logit(x, visible, d0, d1, d2, d3, here, PRECISION)
        part = tl.exp(tl.minimum(logit - highest, 0.0)) * valid / tl.where(parts > 0, parts, 1.0)
        of_logit = part * tl.sum(of_blended * (colour - blended), axis=1)
        of_x, of_visible = blending_gradient(
            x, visible, d0, d1, d2, d3, first, second, of_logit, here, grads, PRECISION
        )
        by_pooling, of_part = values_gradient(x, mean, of_mean, of_variance, visible * scale)
        of_visible += scale * (of_part + of_weight - of_sum)
        of_hidden = hidden_gradient(
            of_x + by_pooling, of_visible, found_here, valid, share * valid, here, grads, PRECISION
        )
        of_shared += of_hidden
        own_gradient(
            of_hidden, feature_c, feature_i, embedding, kept + view * BLOCK * KEPT, here, grads, PRECISION, BLOCK
        )
    return of_shared


@triton.jit
@no_type_check
def back_to_maps(
    of_shared, found, weights, grads, map_grads, kept, step, images, maps, cameras, views, size, points, hidden,
    ZEROS: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Go from the statistics, and what is kept of each view, to weights and maps."""
    c0, i0, vc0, vi0, total0, c1, i1, vc1, vi1, total1, count = found
    scale = 1.0 / (count + 1e-8)
    row_gradient(grads, BASE_BIAS, 64, of_shared)
    of_c0, of_i0, of_vc0, of_vi0 = statistics_gradient(
        c0, i0, vc0, vi0, total0, of_shared, weights, grads, BASE_0, PRECISION
    )
    of_c1, of_i1, of_vc1, of_vi1 = statistics_gradient(
        c1, i1, vc1, vi1, total1, of_shared, weights, grads, BASE_0 + 2 * 48 * 64, PRECISION
    )
    for view in range(views):
        here = weights + view * step
        valid, colour, image, ray, position, d0, d1, d2, d3 = look(view, images, maps, cameras, size, points)
        embedding = embedded(ray, position, points, valid, here, PRECISION)
        masked = (hidden >> view) & 1
        feature_c, feature_i = feature(colour, image, d0, d1, d2, d3, masked, here, ZEROS, PRECISION)
        trust, second = trust_of(embedding, here, PRECISION)
        weight = trust * valid * scale
        by_c0, of_weight_c = values_gradient(feature_c, c0, of_c0, of_vc0, weight)
        by_i0, of_weight_i = values_gradient(feature_i, i0, of_i0, of_vi0, weight)
        by_c1, _ = values_gradient(feature_c, c1, of_c1, of_vc1, valid * scale)
        by_i1, _ = values_gradient(feature_i, i1, of_i1, of_vi1, valid * scale)
        of_trust = (of_weight_c + of_weight_i) * weight * (1.0 - trust)
        of_second = score_gradient(second, of_trust, here, grads, TRUST_2, 16) * slope(second)
        of_e = dense_gradient(embedding, of_second, here, grads, TRUST_0, 32, 16, PRECISION)
        at = kept + (view * BLOCK + tl.arange(0, BLOCK))[:, None] * KEPT
        of_c = tl.load(at + tl.arange(0, COLOURS)[None, :]) + by_c0 + by_c1
        of_i = tl.load(at + COLOURS + tl.arange(0, 32)[None, :]) + by_i0 + by_i1
        of_e += tl.load(at + COLOURS + 32 + tl.arange(0, 32)[None, :])
        of_image = feature_gradient(of_c, of_i, d0, d1, d2, d3, masked, here, grads, ZEROS, PRECISION)
        of_ray = embedding_gradient(ray, position, points, valid, of_e, here, grads, PRECISION)
        maps_gradient(of_image, of_ray, view, map_grads, cameras, size, points, valid)


@triton.jit(do_not_specialize=SIZES, do_not_specialize_on_alignment=PARTS)
@no_type_check
def point_gradient_kernel(
    weights, step, images, maps, cameras, origin, directions, depths, before, behind, masks, masked,
    of_geometry, of_colours, weight_grads, map_grads, kept, room, numbers, views, samples, width, height, columns, rows,
    ZEROS: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Add what weights (`room` numbers a program) and maps have of the outputs of kernel A."""
    program = tl.program_id(0)
    grads = weight_grads + program.to(tl.int64) * room
    kept += program.to(tl.int64) * views * BLOCK * KEPT
    size = (width, height, columns, rows)
    channel, colour_channel = tl.arange(0, 16), tl.arange(0, COLOURS)
    for block in range(program, tl.cdiv(numbers, BLOCK), tl.num_programs(0)):
        at = block * BLOCK + tl.arange(0, BLOCK)
        inside = at < numbers
        points = points_of(origin, directions, depths, before, behind, at, inside, samples)
        hidden = tl.load(masks + at * masked, mask=inside, other=0)
        of_all = tl.load(of_geometry + at[:, None] * 16 + channel[None, :], mask=inside[:, None], other=0.0)
        shown = inside[:, None] & (colour_channel[None, :] < 3)
        of_blended = tl.load(of_colours + at[:, None] * 3 + colour_channel[None, :], mask=shown, other=0.0)
        found = statistics(weights, step, images, maps, cameras, views, size, points, hidden, ZEROS, PRECISION, BLOCK)
        of_shared = back_to_views(
            of_all, of_blended, found, weights, grads, kept, step, images, maps, cameras, views, size, points, hidden,
            ZEROS, PRECISION, BLOCK,
        )  # fmt: skip
        tl.debug_barrier()  # what was kept is read by other threads than those that wrote it
        back_to_maps(
            of_shared, found, weights, grads, map_grads, kept, step, images, maps, cameras, views, size, points, hidden,
            ZEROS, PRECISION, BLOCK,
        )  # fmt: skip
        tl.debug_barrier()
