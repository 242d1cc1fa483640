"""What a kernel sees of its samples in one reference view: projection, interpolation, visibility, and the features."""

from typing import no_type_check

import triton
import triton.language as tl

from maskrf_core.model.fast.kernel_parts import (
    COLOURS,
    dense,
    elu,
    product,
    relu,
    row,
    score,
    sigmoid,
    softplus,
    with_value,
)
from maskrf_core.model.fast.kernel_weights import POINT_LAYERS, places

CAMERA = tl.constexpr(32)  # numbers of a view: w2c 12, K 9, centre 3, near, far, and room
CHANNELS = tl.constexpr(64)  # of the maps: image features, then ray features

_AT = places(POINT_LAYERS)
MEAN, SHARPNESS, MIXING = (
    tl.constexpr(_AT["mean.0"]), tl.constexpr(_AT["sharpness.0"]), tl.constexpr(_AT["mixing_weight.0"])
)  # fmt: skip
HIDDEN = tl.constexpr(_AT["mean.2"] - _AT["mean.0"])  # from one layer of a decoder to the next
ENDS = tl.constexpr(_AT["mean.4.0"] - _AT["mean.0"])
NEXT_END = tl.constexpr(_AT["mean.4.1"] - _AT["mean.4.0"])
DIRECTION_0 = tl.constexpr(_AT["direction.0"])
DIRECTION_COLOUR, DIRECTION_IMAGE = tl.constexpr(_AT["direction.2.colour"]), tl.constexpr(_AT["direction.2.image"])
EMBEDDING_0, EMBEDDING_2 = tl.constexpr(_AT["embedding.0"]), tl.constexpr(_AT["embedding.2"])
TOKEN_COLOUR, TOKEN_IMAGE = tl.constexpr(_AT["token.colour"]), tl.constexpr(_AT["token.image"])


@triton.jit
@no_type_check
def points_of(origin, directions, depths, before, behind, at, inside, samples):
    """Return the samples' places, unit vectors to the query camera, halves of their intervals, and which there are."""
    ray = at // samples
    x = tl.load(directions + ray * 3, mask=inside, other=0.0)
    y = tl.load(directions + ray * 3 + 1, mask=inside, other=0.0)
    z = tl.load(directions + ray * 3 + 2, mask=inside, other=1.0)
    depth = tl.load(depths + at, mask=inside, other=1.0)
    length = -tl.maximum(tl.sqrt(x * x + y * y + z * z), 1e-12)
    px = tl.load(origin) + depth * x
    py = tl.load(origin + 1) + depth * y
    pz = tl.load(origin + 2) + depth * z
    half_before = tl.load(before + at, mask=inside, other=0.0)
    half_behind = tl.load(behind + at, mask=inside, other=0.0)
    return px, py, pz, x / length, y / length, z / length, half_before, half_behind, inside


@triton.jit
@no_type_check
def projected(camera, x, y, z, width, height):
    """Return the pixel, the depth and whether they are valid (1.0 or 0.0), as `cameras.project`."""
    u = tl.load(camera) * x + tl.load(camera + 1) * y + tl.load(camera + 2) * z + tl.load(camera + 3)
    v = tl.load(camera + 4) * x + tl.load(camera + 5) * y + tl.load(camera + 6) * z + tl.load(camera + 7)
    w = tl.load(camera + 8) * x + tl.load(camera + 9) * y + tl.load(camera + 10) * z + tl.load(camera + 11)
    across = tl.load(camera + 12) * u + tl.load(camera + 13) * v + tl.load(camera + 14) * w
    down = tl.load(camera + 15) * u + tl.load(camera + 16) * v + tl.load(camera + 17) * w
    depth = tl.load(camera + 18) * u + tl.load(camera + 19) * v + tl.load(camera + 20) * w
    projectable = tl.abs(depth) >= 1e-4
    depth = tl.where(projectable, depth, 1e-3)
    across, down = across / depth, down / depth
    within = (across >= -0.5) & (across < width - 0.5) & (down >= -0.5) & (down < height - 0.5)
    return across, down, depth, (projectable & within).to(tl.float32)


@triton.jit
@no_type_check
def around(position, length, of_image):
    """Return the two places around a position along one side, border at the outside, and the second one's weight.

    Positions are in an image of `of_image` pixels; a map of another length has the half-size convention.
    """
    position = tl.where(length == of_image, position, position / (of_image - 1) * length - 0.5)
    position = tl.where(position == position, position, 0.0)
    position = tl.minimum(tl.maximum(position, 0.0), length - 1.0)
    first = tl.floor(position)
    place = first.to(tl.int32)
    return place, tl.minimum(place + 1, length - 1), position - first


@triton.jit
@no_type_check
def corners(x, y, view, columns, rows, width, height, valid):
    """Return places of the four pixels around positions, through all maps, and their weights: 0 where not valid."""
    left, right, of_right = around(x, columns, width)
    upper, lower, of_lower = around(y, rows, height)
    upper, lower = (view * rows + upper) * columns, (view * rows + lower) * columns
    of_upper, of_lower = (1.0 - of_lower) * valid, of_lower * valid
    return (
        upper + left, upper + right, lower + left, lower + right,
        of_upper * (1.0 - of_right), of_upper * of_right, of_lower * (1.0 - of_right), of_lower * of_right,
    )  # fmt: skip


@triton.jit
@no_type_check
def interpolated(maps, around, STRIDE: tl.constexpr, FIRST: tl.constexpr, USED: tl.constexpr, N: tl.constexpr):
    """Return N channels, of which USED are there, of channels-last maps between four pixels."""
    p0, p1, p2, p3, w0, w1, w2, w3 = around
    channel = tl.arange(0, N)[None, :]
    used = channel < USED
    start = maps + FIRST + channel
    # Widened: maps of many large views have more values than 32 bits count.
    values = tl.load(start + p0.to(tl.int64)[:, None] * STRIDE, mask=used, other=0.0).to(tl.float32) * w0[:, None]
    values += tl.load(start + p1.to(tl.int64)[:, None] * STRIDE, mask=used, other=0.0).to(tl.float32) * w1[:, None]
    values += tl.load(start + p2.to(tl.int64)[:, None] * STRIDE, mask=used, other=0.0).to(tl.float32) * w2[:, None]
    values += tl.load(start + p3.to(tl.int64)[:, None] * STRIDE, mask=used, other=0.0).to(tl.float32) * w3[:, None]
    return values


@triton.jit
@no_type_check
def look(view, images, maps, cameras, size, points):
    """Return what a view holds at the samples: valid, colour, image features, ray features, normalised inverse depth,
    and the four numbers of the direction difference."""
    width, height, columns, rows = size
    px, py, pz, qx, qy, qz, _, _, inside = points
    camera = cameras + view * CAMERA
    x, y, depth, valid = projected(camera, px, py, pz, width, height)
    valid = valid * inside.to(tl.float32)
    colour = interpolated(images, corners(x, y, view, width, height, width, height, valid), 3, 0, 3, COLOURS)
    of_maps = corners(x, y, view, columns, rows, width, height, valid)
    image = interpolated(maps, of_maps, CHANNELS, 0, 32, 32)
    ray = interpolated(maps, of_maps, CHANNELS, 32, 32, 32)
    dx, dy, dz = tl.load(camera + 21) - px, tl.load(camera + 22) - py, tl.load(camera + 23) - pz
    length = tl.maximum(tl.sqrt(dx * dx + dy * dy + dz * dz), 1e-12)
    dx, dy, dz = dx / length, dy / length, dz / length
    near, far = 1.0 / tl.load(camera + 24), 1.0 / tl.load(camera + 25)
    position = (near - 1.0 / tl.maximum(depth, 1e-5)) / (near - far)
    return valid, colour, image, ray, position, dx - qx, dy - qy, dz - qz, dx * qx + dy * qy + dz * qz


@triton.jit
@no_type_check
def decoded(ray, weights, AT: tl.constexpr, PRECISION: tl.constexpr):
    """Return the last hidden layer of one of the three heads of the distribution decoder."""
    return elu(dense(elu(dense(ray, weights, AT, 32, 32, PRECISION)), weights, AT + HIDDEN, 32, 32, PRECISION))


@triton.jit
@no_type_check
def visibility(ray, position, half_before, half_behind, valid, weights, PRECISION: tl.constexpr):
    """Return visibility and hit probability of the samples in a view."""
    hidden = decoded(ray, weights, MEAN, PRECISION)
    mean0 = softplus(score(hidden, weights, MEAN + ENDS, 32))
    mean1 = softplus(score(hidden, weights, MEAN + ENDS + NEXT_END, 32))
    hidden = decoded(ray, weights, SHARPNESS, PRECISION)
    sharpness0 = softplus(score(hidden, weights, SHARPNESS + ENDS, 32)) + 0.05
    sharpness1 = softplus(score(hidden, weights, SHARPNESS + ENDS + NEXT_END, 32)) + 0.05
    mixing = sigmoid(score(decoded(ray, weights, MIXING, PRECISION), weights, MIXING + ENDS, 32))
    near, far = position - half_before, position + half_behind
    # 0.5 + 0.5 tanh(z) is the logistic function of 2z.
    near0, near1 = sigmoid(2.0 * sharpness0 * (near - mean0)), sigmoid(2.0 * sharpness1 * (near - mean1))
    far0, far1 = sigmoid(2.0 * sharpness0 * (far - mean0)), sigmoid(2.0 * sharpness1 * (far - mean1))
    before, behind = near1 + mixing * (near0 - near1), far1 + mixing * (far0 - far1)
    return (1.0 - before) * valid, (behind - before) * valid


@triton.jit
@no_type_check
def embedded(ray, position, points, valid, weights, PRECISION: tl.constexpr):
    """Return the neural-ray embedding (32)."""
    _, _, _, _, _, _, half_before, half_behind, _ = points
    visible, hit = visibility(ray, position, half_before, half_behind, valid, weights, PRECISION)
    hidden = product(ray, weights, EMBEDDING_0, 32, 32, PRECISION)
    hidden = with_value(hidden, 2.0 * (hit - 0.5), weights, EMBEDDING_0 + 32 * 32, 32)
    hidden = with_value(hidden, 2.0 * (visible - 0.5), weights, EMBEDDING_0 + 33 * 32, 32)
    hidden = relu(hidden + row(weights, EMBEDDING_0 + 34 * 32, 32)[None, :])
    return dense(hidden, weights, EMBEDDING_2, 32, 32, PRECISION)


@triton.jit
@no_type_check
def feature(colour, image, d0, d1, d2, d3, masked, weights, ZEROS: tl.constexpr, PRECISION: tl.constexpr):
    """Return colour and image features with what the direction adds, or what stands in for them."""
    hidden = d0[:, None] * row(weights, DIRECTION_0, 16)[None, :] + row(weights, DIRECTION_0 + 4 * 16, 16)[None, :]
    hidden = with_value(hidden, d1, weights, DIRECTION_0 + 16, 16)
    hidden = with_value(hidden, d2, weights, DIRECTION_0 + 2 * 16, 16)
    hidden = elu(with_value(hidden, d3, weights, DIRECTION_0 + 3 * 16, 16))
    of_colour = colour + elu(dense(hidden, weights, DIRECTION_COLOUR, 16, COLOURS, PRECISION))
    of_image = image + elu(dense(hidden, weights, DIRECTION_IMAGE, 16, 32, PRECISION))
    shown = (masked == 0)[:, None]
    if ZEROS:
        of_colour, of_image = tl.where(shown, of_colour, 0.0), tl.where(shown, of_image, 0.0)
    else:
        of_colour = tl.where(shown, of_colour, row(weights, TOKEN_COLOUR, COLOURS)[None, :])
        of_image = tl.where(shown, of_image, row(weights, TOKEN_IMAGE, 32)[None, :])
    return of_colour, of_image
