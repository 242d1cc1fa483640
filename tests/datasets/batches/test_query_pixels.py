"""Which pixels of a query are rendered: shares, distinctness, and what happens where there are few."""

import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.datasets.batches.query_pixels import draw_pixels
from maskrf_core.datasets.records import DATA_SETS

HEIGHT, WIDTH = 30, 50


def query(foreground=None, height=HEIGHT, width=WIDTH):
    mask = None if foreground is None else torch.from_numpy(foreground)[None]
    camera = (torch.eye(3)[None], torch.eye(3, 4)[None], torch.tensor([[1.0, 2]]))
    return Views(torch.zeros(1, 3, height, width), *camera, masks=mask)


def drawn(count, rule="foreground", seed=0, **of_query):
    """Rows and columns as whole numbers."""
    pixels = draw_pixels(query(**of_query), count, rule, generator=np.random.default_rng(seed))
    assert pixels.dtype == torch.float32
    assert torch.equal(pixels, pixels.round())
    x, y = pixels.long().numpy().T
    assert ((x >= 0) & (y >= 0)).all()
    return y, x


def object_of(count):
    mask = np.zeros(HEIGHT * WIDTH, bool)
    mask[700 : 700 + count] = True
    return mask.reshape(HEIGHT, WIDTH)


def distinct(y, x):
    return len(set(zip(y.tolist(), x.tolist(), strict=True)))


def test_half_are_foreground_and_the_rest_is_from_all_that_is_left():
    mask = object_of(300)
    on_object = []
    for seed in range(200):
        y, x = drawn(100, foreground=mask, seed=seed)
        assert distinct(y, x) == 100
        on_object.append(mask[y, x].sum())
    assert min(on_object) >= 50
    # Of 1450 pixels that are left, 250 are the object's.
    assert np.mean(on_object) == pytest.approx(50 + 50 * 250 / 1450, abs=0.9)  # 4.2 standard deviations


def test_all_of_a_small_object_is_drawn():
    mask = object_of(7)
    y, x = drawn(100, foreground=mask)
    assert mask[y, x].sum() == 7
    assert distinct(y, x) == 100


@pytest.mark.parametrize("foreground", [None, np.ones((HEIGHT, WIDTH), bool), np.zeros((HEIGHT, WIDTH), bool)])
def test_where_all_pixels_are_alike_all_are_drawn_equally_often(foreground):
    counts = np.zeros((HEIGHT, WIDTH))
    for seed in range(300):
        y, x = drawn(100, foreground=foreground, seed=seed)
        assert distinct(y, x) == 100
        counts[y, x] += 1
    assert counts.reshape(2, -1).sum(axis=1) / 3e4 == pytest.approx([0.5, 0.5], abs=0.013)
    assert counts.max() < 45  # 20 in the mean


def test_rays_of_forward_facing_sets_come_from_the_centre():
    """90 % from rows 3 to 26 and columns 5 to 44, a share of 0.64; the rest from all that is left."""
    inside = []
    for seed in range(200):
        y, x = drawn(100, "centre", foreground=object_of(5), seed=seed)
        assert distinct(y, x) == 100
        inside.append(((y >= 3) & (y < 27) & (x >= 5) & (x < 45)).sum())
    assert min(inside) >= 90
    assert np.mean(inside) == pytest.approx(90 + 10 * (960 - 90) / 1410, abs=0.5)
    assert {name for name, record in DATA_SETS.items() if record.rays == "centre"} == {
        "real_iconic",
        "real_estate",
        "space",
    }


@pytest.mark.parametrize("rule", ["foreground", "centre"])
def test_a_picture_of_few_pixels_is_drawn_whole_and_then_again(rule):
    y, x = drawn(70, rule, height=6, width=8)
    assert len(y) == 70
    assert distinct(y, x) == 48
