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
