"""Downscaling by the rule that published checkpoints were trained with.

Images by a Gaussian blur with σ = 1/(3r), then bilinearly; masks and depths by nearest; K without a half-pixel shift.
"""

import math

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8


def downscaled_size(height: int, width: int, ratio: float) -> tuple[int, int]:
    """Return (height, width) after downscaling by `ratio` in (0, 1], rounded, at least one pixel."""
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio {ratio} is not in (0, 1]: images are never enlarged")
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def blur_kernel_size(sigma: float) -> int:
    """Return the odd width of the Gaussian kernel, `⌈((σ - 0.8)/0.3 + 1)·2 + 1⌉` made odd, at least 1."""
    size = math.ceil(((sigma - 0.8) / 0.3 + 1) * 2 + 1)
    return max(1, size + 1 - size % 2)


def downscale_image(
    image: UInt8[np.ndarray, "height width channel"], ratio: float
) -> UInt8[np.ndarray, "new_height new_width channel"]:
    """Blur against aliasing, then resize bilinearly."""
    height, width = downscaled_size(*image.shape[:2], ratio)
    if ratio == 1:
        return image
    return cv2.resize(blur_against_aliasing(image, ratio), (width, height), interpolation=cv2.INTER_LINEAR)


def blur_against_aliasing(
    image: UInt8[np.ndarray, "height width channel"], ratio: float
) -> UInt8[np.ndarray, "height width channel"]:
    """Blur as before downscaling by `ratio`, by a Gaussian; the border is reflected without its last pixel."""
    sigma = 1 / (3 * ratio)
    size = blur_kernel_size(sigma)
    return cv2.GaussianBlur(image, (size, size), sigma, sigma, borderType=cv2.BORDER_REFLECT_101)


def downscale_nearest(
    values: Shaped[np.ndarray, "height width"], ratio: float
) -> Shaped[np.ndarray, "new_height new_width"]:
    """Downscale masks and depth maps: no value that was not there before."""
    height, width = downscaled_size(*values.shape, ratio)
    if ratio == 1:
        return values
    as_numbers = values.astype(np.uint8) if values.dtype == bool else values
    return cv2.resize(as_numbers, (width, height), interpolation=cv2.INTER_NEAREST).astype(values.dtype)


def scale_intrinsics(K: Float[np.ndarray, "3 3"], ratio: float) -> Float[np.ndarray, "3 3"]:
    """Multiply rows 0 and 1 by `ratio`; no half-pixel shift, because checkpoints were trained without it."""
    return np.diag([ratio, ratio, 1.0]) @ K
