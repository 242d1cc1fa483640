"""Comparing images window by window: zero-mean normalised cross-correlation, in plain torch."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class WindowCorrelation:
    """Zero-mean normalised cross-correlation with a reference image, over foreground windows, channels jointly.

    `window` is the side of the windows in pixels, odd; `texture_floor` the standard deviation (colours in [0, 1])
    below which a window is thought to be noise.
    """

    def __init__(
        self,
        image: Float[Tensor, "3 height width"],
        mask: Bool[Tensor, "height width"],
        *,
        window: int,
        texture_floor: float,
    ):
        self._radius = window // 2
        self._weight = mask.to(image)
        self._share = window_sum(self._weight, self._radius).clamp(min=1e-6)
        self._floor = texture_floor**2
        self._image = image
        self._mean = self._average(image)
        self._variance = self._variance_about(image[None], self._mean[None])

    def __call__(self, other: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image height width"]:
        """In [-1, 1]; near 0 where either window has no texture."""
        mean = self._average(other)
        covariance = self._average((other * self._image).sum(1)) - (mean * self._mean).sum(1)
        scale = (self._variance_about(other, mean) * self._variance).rsqrt_()
        return covariance.mul_(scale).clamp_(-1, 1)

    def _variance_about(
        self, image: Float[Tensor, "image 3 height width"], mean: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image height width"]:
        variance = self._average(image.square().sum(1)) - mean.square().sum(1)
        return variance.clamp_(min=0).add_(self._floor)

    def _average(self, values: Float[Tensor, "*channel height width"]) -> Float[Tensor, "*channel height width"]:
        return window_sum(values * self._weight, self._radius).div_(self._share)


def window_sum(values: Float[Tensor, "*channel height width"], radius: int) -> Float[Tensor, "*channel height width"]:
    """Sum over the square of side 2·radius + 1 about each pixel; nothing outside the image.

    By shifted additions: several times faster on a CPU than pooling, and as fast as any on a GPU.
    """
    return _over_windows(values, radius, lambda whole, part: whole.add_(part))


def window_minimum(
    values: Float[Tensor, "*channel height width"], radius: int
) -> Float[Tensor, "*channel height width"]:
    """Least value in the square of side 2·radius + 1 about each pixel."""
    return _over_windows(values, radius, lambda whole, part: torch.minimum(whole, part, out=whole))


def _over_windows(values: Tensor, radius: int, combine: Callable[[Tensor, Tensor], object]) -> Tensor:
    """Along rows, then columns, each value combined in place with those up to `radius` pixels away."""
    for axis in (-1, -2):
        whole, length = values.clone(), values.shape[axis]
        for step in range(1, min(radius, length - 1) + 1):
            combine(whole.narrow(axis, step, length - step), values.narrow(axis, 0, length - step))
            combine(whole.narrow(axis, 0, length - step), values.narrow(axis, step, length - step))
        values = whole
    return values
