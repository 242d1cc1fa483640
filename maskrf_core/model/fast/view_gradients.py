"""The backward pass of `kernel_views`: from features and embedding of a view to its maps and to the weights."""

from typing import no_type_check

import triton
import triton.language as tl

from maskrf_core.model.fast.kernel_parts import (
    COLOURS,
    dense,
    dense_gradient,
    elu,
    product,
    product_gradient,
    relu,
    row,
    row_gradient,
    score,
    score_gradient,
    sigmoid,
    slope,
    softplus,
    value_gradient,
    with_value,
)
from maskrf_core.model.fast.kernel_views import (
    CAMERA,
    CHANNELS,
    DIRECTION_0,
    DIRECTION_COLOUR,
    DIRECTION_IMAGE,
    EMBEDDING_0,
    EMBEDDING_2,
    ENDS,
    HIDDEN,
    MEAN,
    MIXING,
    NEXT_END,
    SHARPNESS,
    TOKEN_COLOUR,
    TOKEN_IMAGE,
    corners,
    decoded,
    projected,
    visibility,
)


@triton.jit
@no_type_check
def head_gradient(
    ray, of_first, of_second, weights, grads, AT: tl.constexpr, TWO: tl.constexpr, PRECISION: tl.constexpr
):
    """Return what the ray features have of a head's outputs, of which there are one or two."""
    first = elu(dense(ray, weights, AT, 32, 32, PRECISION))
    second = elu(dense(first, weights, AT + HIDDEN, 32, 32, PRECISION))
    of_hidden = score_gradient(second, of_first, weights, grads, AT + ENDS, 32)
    if TWO:
        of_hidden += score_gradient(second, of_second, weights, grads, AT + ENDS + NEXT_END, 32)
    of_hidden = dense_gradient(first, of_hidden * slope(second), weights, grads, AT + HIDDEN, 32, 32, PRECISION)
    return dense_gradient(ray, of_hidden * slope(first), weights, grads, AT, 32, 32, PRECISION)


@triton.jit
@no_type_check
def component_gradient(near, far, mean, sharpness, of_before, of_behind):
    """Return what mean and sharpness, before their activations, have of a component's share before and behind."""
    before, behind = sigmoid(2.0 * sharpness * (near - mean)), sigmoid(2.0 * sharpness * (far - mean))
    of_near, of_far = 2.0 * of_before * before * (1.0 - before), 2.0 * of_behind * behind * (1.0 - behind)
    of_sharpness = (near - mean) * of_near + (far - mean) * of_far
    of_mean = -sharpness * (of_near + of_far)
    return of_mean * (1.0 - tl.exp(-mean)), of_sharpness * (1.0 - tl.exp(0.05 - sharpness)), before, behind


@triton.jit
@no_type_check
def visibility_gradient(
    ray, position, half_before, half_behind, valid, of_visible, of_hit, weights, grads, PRECISION: tl.constexpr
):
    """Return what the ray features have of visibility and hit probability."""
    hidden = decoded(ray, weights, MEAN, PRECISION)
    mean0 = softplus(score(hidden, weights, MEAN + ENDS, 32))
    mean1 = softplus(score(hidden, weights, MEAN + ENDS + NEXT_END, 32))
    hidden = decoded(ray, weights, SHARPNESS, PRECISION)
    sharpness0 = softplus(score(hidden, weights, SHARPNESS + ENDS, 32)) + 0.05
    sharpness1 = softplus(score(hidden, weights, SHARPNESS + ENDS + NEXT_END, 32)) + 0.05
    mixing = sigmoid(score(decoded(ray, weights, MIXING, PRECISION), weights, MIXING + ENDS, 32))
    near, far = position - half_before, position + half_behind
    of_before, of_behind = -(of_visible + of_hit) * valid, of_hit * valid
    of_mean0, of_sharpness0, near0, far0 = component_gradient(
        near, far, mean0, sharpness0, mixing * of_before, mixing * of_behind
    )
    of_mean1, of_sharpness1, near1, far1 = component_gradient(
        near, far, mean1, sharpness1, (1.0 - mixing) * of_before, (1.0 - mixing) * of_behind
    )
    of_mixing = (of_before * (near0 - near1) + of_behind * (far0 - far1)) * mixing * (1.0 - mixing)
    of_ray = head_gradient(ray, of_mean0, of_mean1, weights, grads, MEAN, True, PRECISION)
    of_ray += head_gradient(ray, of_sharpness0, of_sharpness1, weights, grads, SHARPNESS, True, PRECISION)
    return of_ray + head_gradient(ray, of_mixing, of_mixing, weights, grads, MIXING, False, PRECISION)


@triton.jit
@no_type_check
def embedding_gradient(ray, position, points, valid, of_embedding, weights, grads, PRECISION: tl.constexpr):
    """Return what the ray features have of the neural-ray embedding."""
    _, _, _, _, _, _, half_before, half_behind, _ = points
    visible, hit = visibility(ray, position, half_before, half_behind, valid, weights, PRECISION)
    hidden = product(ray, weights, EMBEDDING_0, 32, 32, PRECISION)
    hidden = with_value(hidden, 2.0 * (hit - 0.5), weights, EMBEDDING_0 + 32 * 32, 32)
    hidden = with_value(hidden, 2.0 * (visible - 0.5), weights, EMBEDDING_0 + 33 * 32, 32)
    hidden = relu(hidden + row(weights, EMBEDDING_0 + 34 * 32, 32)[None, :])
    of_hidden = dense_gradient(hidden, of_embedding, weights, grads, EMBEDDING_2, 32, 32, PRECISION)
    of_hidden = tl.where(hidden > 0, of_hidden, 0.0)
    row_gradient(grads, EMBEDDING_0 + 34 * 32, 32, of_hidden)
    of_ray = product_gradient(ray, of_hidden, weights, grads, EMBEDDING_0, 32, 32, PRECISION)
    of_hit = 2.0 * value_gradient(2.0 * (hit - 0.5), of_hidden, weights, grads, EMBEDDING_0 + 32 * 32, 32)
    of_visible = 2.0 * value_gradient(2.0 * (visible - 0.5), of_hidden, weights, grads, EMBEDDING_0 + 33 * 32, 32)
    return of_ray + visibility_gradient(
        ray, position, half_before, half_behind, valid, of_visible, of_hit, weights, grads, PRECISION
    )


@triton.jit
@no_type_check
def feature_gradient(
    of_colour, of_image, d0, d1, d2, d3, masked, weights, grads,
    ZEROS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return what the image features have of a view's features; where these are masked, the token has it."""
    hidden_here = (masked != 0)[:, None]
    if not ZEROS:
        row_gradient(grads, TOKEN_COLOUR, COLOURS, tl.where(hidden_here, of_colour, 0.0))
        row_gradient(grads, TOKEN_IMAGE, 32, tl.where(hidden_here, of_image, 0.0))
    of_colour, of_image = tl.where(hidden_here, 0.0, of_colour), tl.where(hidden_here, 0.0, of_image)
    hidden = d0[:, None] * row(weights, DIRECTION_0, 16)[None, :] + row(weights, DIRECTION_0 + 4 * 16, 16)[None, :]
    hidden = with_value(hidden, d1, weights, DIRECTION_0 + 16, 16)
    hidden = with_value(hidden, d2, weights, DIRECTION_0 + 2 * 16, 16)
    hidden = elu(with_value(hidden, d3, weights, DIRECTION_0 + 3 * 16, 16))
    added = elu(dense(hidden, weights, DIRECTION_COLOUR, 16, COLOURS, PRECISION))
    of_hidden = dense_gradient(
        hidden, of_colour * slope(added), weights, grads, DIRECTION_COLOUR, 16, COLOURS, PRECISION
    )
    added = elu(dense(hidden, weights, DIRECTION_IMAGE, 16, 32, PRECISION))
    of_hidden += dense_gradient(hidden, of_image * slope(added), weights, grads, DIRECTION_IMAGE, 16, 32, PRECISION)
    of_hidden *= slope(hidden)
    row_gradient(grads, DIRECTION_0, 16, d0[:, None] * of_hidden)
    row_gradient(grads, DIRECTION_0 + 16, 16, d1[:, None] * of_hidden)
    row_gradient(grads, DIRECTION_0 + 2 * 16, 16, d2[:, None] * of_hidden)
    row_gradient(grads, DIRECTION_0 + 3 * 16, 16, d3[:, None] * of_hidden)
    row_gradient(grads, DIRECTION_0 + 4 * 16, 16, of_hidden)
    return of_image


@triton.jit
@no_type_check
def maps_gradient(of_image, of_ray, view, map_grads, cameras, size, points, valid):
    """Add what image and ray features have to the gradient of the maps, at the four corners of each sample."""
    width, height, columns, rows = size
    px, py, pz, _, _, _, _, _, _ = points
    x, y, _, _ = projected(cameras + view * CAMERA, px, py, pz, width, height)
    p0, p1, p2, p3, w0, w1, w2, w3 = corners(x, y, view, columns, rows, width, height, valid)
    start = map_grads + tl.arange(0, 32)[None, :]
    corner_gradient(start, p0, w0, of_image, of_ray)
    corner_gradient(start, p1, w1, of_image, of_ray)
    corner_gradient(start, p2, w2, of_image, of_ray)
    corner_gradient(start, p3, w3, of_image, of_ray)


@triton.jit
@no_type_check
def corner_gradient(start, place, weight, of_image, of_ray):
    """Add the share of one corner of each sample."""
    at, there = start + place.to(tl.int64)[:, None] * CHANNELS, (weight != 0.0)[:, None]
    tl.atomic_add(at, weight[:, None] * of_image, mask=there, sem="relaxed")
    tl.atomic_add(at + 32, weight[:, None] * of_ray, mask=there, sem="relaxed")
