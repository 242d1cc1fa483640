import math

import numpy as np
import pytest

from maskrf_core.datasets.files.downscaling import (
    blur_kernel_size,
    downscale_image,
    downscale_nearest,
    downscaled_size,
    scale_intrinsics,
)


@pytest.mark.parametrize(("ratio", "size"), [(1, 1), (0.9, 1), (0.5, 3), (0.25, 7), (0.125, 17)])
def test_kernel_size_by_hand(ratio: float, size: int):
    assert blur_kernel_size(1 / (3 * ratio)) == size


def test_impulse_by_hand():
    """Halving averages 2×2 blurred pixels: the impulse's share is that of two kernel weights in each direction."""
    image = np.zeros((16, 16, 1), np.uint8)
    image[8, 8] = 255
    side = math.exp(-0.5 / (2 / 3) ** 2)
    centre, side = 1 / (1 + 2 * side), side / (1 + 2 * side)
    small = downscale_image(np.repeat(image, 3, axis=2), 0.5)
    assert small.shape == (8, 8, 3)
    for row, share_y in ((3, side / 2), (4, (centre + side) / 2), (5, 0)):
        for column, share_x in ((3, side / 2), (4, (centre + side) / 2), (5, 0)):
            assert abs(small[row, column, 0] - 255 * share_y * share_x) <= 1.5


def test_nearest_makes_no_new_values():
    depth = np.random.default_rng(0).uniform(1, 2, (30, 20)).astype(np.float32)
    small = downscale_nearest(depth, 1 / 3)
    assert small.shape == (10, 7)
    assert small.dtype == np.float32
    assert np.isin(small, depth).all()
    mask = downscale_nearest(depth > 1.5, 0.5)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, (depth > 1.5)[::2, ::2])


def test_full_size_is_untouched_and_larger_is_refused():
    image = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(downscale_image(image, 1.0), image)
    for ratio in (0.0, 1.01, -1.0, math.nan):
        with pytest.raises(ValueError, match="never enlarged"):
            downscaled_size(10, 10, ratio)


def test_intrinsics_scale_without_half_pixel_shift():
    K = np.array([[100.0, 1, 50], [0, 90, 40], [0, 0, 1]])
    np.testing.assert_array_equal(scale_intrinsics(K, 0.5), [[50, 0.5, 25], [0, 45, 20], [0, 0, 1]])
