"""What the kernels are made of: activations, and products with weights that are laid out by `kernel_weights`."""

from typing import no_type_check

import triton
import triton.language as tl

COLOURS = tl.constexpr(16)  # channels of a colour in a kernel: 3, and zeros


@triton.jit
@no_type_check
def elu(x):
    """Compute `nn.ELU`."""
    return tl.where(x > 0, x, tl.exp(tl.minimum(x, 0.0)) - 1.0)


@triton.jit
@no_type_check
def relu(x):
    """Compute `nn.ReLU`: what is no number stays so."""
    return tl.where(x < 0.0, 0.0, x)


@triton.jit
@no_type_check
def sigmoid(x):
    """Compute the logistic function."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
@no_type_check
def softplus(x):
    """Compute `nn.Softplus`, without overflow."""
    return tl.where(x > 20.0, x, tl.log(1.0 + tl.exp(tl.minimum(x, 20.0))))


@triton.jit
@no_type_check
def dot(x, y, PRECISION: tl.constexpr):
    """Multiply two matrices: in bfloat16, or as `input_precision` says; sums are float32."""
    if PRECISION == "bf16":
        return tl.dot(x.to(tl.bfloat16), y.to(tl.bfloat16))
    else:
        return tl.dot(x.to(tl.float32), y.to(tl.float32), input_precision=PRECISION)


@triton.jit
@no_type_check
def matrix(weights, AT: tl.constexpr, K: tl.constexpr, N: tl.constexpr):
    """Load a matrix of K inputs and N outputs."""
    return tl.load(weights + AT + tl.arange(0, K)[:, None] * N + tl.arange(0, N)[None, :])


@triton.jit
@no_type_check
def row(weights, AT: tl.constexpr, N: tl.constexpr):
    """Load N numbers, such as a bias, as float32."""
    return tl.load(weights + AT + tl.arange(0, N)).to(tl.float32)


@triton.jit
@no_type_check
def product(x, weights, AT: tl.constexpr, K: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr):
    """Multiply K channels by a matrix."""
    return dot(x, matrix(weights, AT, K, N), PRECISION)


@triton.jit
@no_type_check
def dense(x, weights, AT: tl.constexpr, K: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr):
    """Apply a linear layer of K inputs and N outputs."""
    return product(x, weights, AT, K, N, PRECISION) + row(weights, AT + K * N, N)[None, :]


@triton.jit
@no_type_check
def score(x, weights, AT: tl.constexpr, K: tl.constexpr):
    """Apply a linear layer of K inputs and one output: a number a row."""
    return tl.sum(x * row(weights, AT, K)[None, :], axis=1) + tl.load(weights + AT + K).to(tl.float32)


@triton.jit
@no_type_check
def with_value(x, value, weights, AT: tl.constexpr, N: tl.constexpr):
    """Add what a layer makes of one more input, a number a row."""
    return x + value[:, None] * row(weights, AT, N)[None, :]


@triton.jit
@no_type_check
def slope(y):
    """Return the derivative of ELU by its value."""
    return tl.where(y > 0, 1.0, y + 1.0)


@triton.jit
@no_type_check
def row_gradient(grads, AT: tl.constexpr, N: tl.constexpr, of_rows):
    """Add the sum over rows to the gradient of N numbers, such as a bias."""
    tl.atomic_add(grads + AT + tl.arange(0, N), tl.sum(of_rows, axis=0), sem="relaxed")


@triton.jit
@no_type_check
def product_gradient(
    x, of_y, weights, grads, AT: tl.constexpr, K: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr
):
    """Add to the gradient of a matrix, and return that of its K inputs."""
    of_matrix = dot(tl.trans(x), of_y, PRECISION)
    tl.atomic_add(grads + AT + tl.arange(0, K)[:, None] * N + tl.arange(0, N)[None, :], of_matrix, sem="relaxed")
    return dot(of_y, tl.trans(matrix(weights, AT, K, N)), PRECISION)


@triton.jit
@no_type_check
def dense_gradient(
    x, of_y, weights, grads, AT: tl.constexpr, K: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr
):
    """Do the same for a linear layer."""
    row_gradient(grads, AT + K * N, N, of_y)
    return product_gradient(x, of_y, weights, grads, AT, K, N, PRECISION)


@triton.jit
@no_type_check
def score_gradient(x, of_y, weights, grads, AT: tl.constexpr, K: tl.constexpr):
    """Do the same for a linear layer of one output."""
    row_gradient(grads, AT, K, x * of_y[:, None])
    tl.atomic_add(grads + AT + K, tl.sum(of_y, axis=0), sem="relaxed")
    return of_y[:, None] * row(weights, AT, K)[None, :]


@triton.jit
@no_type_check
def value_gradient(value, of_y, weights, grads, AT: tl.constexpr, N: tl.constexpr):
    """Do the same for one more input."""
    row_gradient(grads, AT, N, value[:, None] * of_y)
    return tl.sum(of_y * row(weights, AT, N)[None, :], axis=1)


@triton.jit
@no_type_check
def mean_gradient(of_mean, of_variance, mean, total):
    """Return what the mean has, of which the variance depends too; its weights sum to `total`."""
    return of_mean - 2.0 * of_variance * mean * (1.0 - total)[:, None]


@triton.jit
@no_type_check
def values_gradient(values, mean, of_mean, of_variance, weight):
    """Return what values have of their weighted mean and variance, and what their weight has."""
    difference = values - mean
    of_weight = tl.sum(values * of_mean + difference * difference * of_variance, axis=1)
    return weight[:, None] * (of_mean + 2.0 * difference * of_variance), of_weight
