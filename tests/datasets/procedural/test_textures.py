"""The demo objects' textures."""

import numpy as np
import pytest

from maskrf_core.datasets.procedural.textures import TEXTURES, make_texture, smooth_noise


@pytest.mark.parametrize("kind", TEXTURES)
def test_textures_are_colourful_bounded_and_repeatable(kind):
    first, again, other = (make_texture(kind, 0.3, rng=np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.min() >= 0
    assert first.max() <= 1
    assert first.std() > 0.05
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_smooth_noise_is_uniform_and_tileable():
    field = smooth_noise(2.2, rng=np.random.default_rng(1))
    assert np.allclose(np.histogram(field, 4, (0, 1))[0] / field.size, 0.25, atol=1e-3)
    step = np.abs(np.diff(field, axis=1)).mean()
    assert np.abs(field[:, 0] - field[:, -1]).mean() < 2 * step
