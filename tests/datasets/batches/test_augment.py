"""Crops, flips and padding: points of the scene stay on their content, whatever is done to a picture."""

import numpy as np
import pytest
import torch

from maskrf_core.cameras import back_project, project
from maskrf_core.datasets.batches.augment import Window, crop, draw_window, flip, pad_by_reflection, pad_to_largest
from maskrf_core.datasets.batches.batch import Views
from maskrf_core.support.errors import DatasetError

HEIGHT, WIDTH = 40, 56
GENERATOR = np.random.default_rng(7)


@pytest.fixture
def views():
    """Two views that look at one another's scene, slanted; every pixel has a colour and a depth of its own."""
    generator = torch.Generator().manual_seed(1)
    K = torch.tensor([[50.0, 0.3, 27.0], [0, 48, 21], [0, 0, 1]]).expand(2, 3, 3)
    angle = torch.tensor(0.2)
    rotation = torch.tensor([[angle.cos(), 0, angle.sin()], [0, 1, 0], [-angle.sin(), 0, angle.cos()]])
    w2c = torch.stack([torch.eye(3, 4), torch.cat([rotation, torch.tensor([[-0.4], [0.1], [0.2]])], dim=1)])
    depths = 2 + torch.rand(2, 1, HEIGHT, WIDTH, generator=generator)
    return Views(
        torch.rand(2, 3, HEIGHT, WIDTH, generator=generator), K, w2c, torch.tensor([[1.0, 4.0]] * 2),
        masks=torch.rand(2, HEIGHT, WIDTH, generator=generator) < 0.5, depths=depths, true_depths=depths + 0.1,
    )  # fmt: skip


CHANGES = {
    "crop": lambda views: crop(views, Window(5, 11, 20, 30)),
    "crop over the edge": lambda views: crop(views, Window(5, 40, 90, 30)),
    "flip": flip,
    "pad": lambda views: pad_by_reflection(views.replace(masks=None), 16),
    "all": lambda views: pad_by_reflection(flip(crop(views, Window(3, 9, 24, 36))).replace(masks=None), 16),
}


@pytest.mark.parametrize("name", CHANGES)
def test_points_stay_on_their_content(views, name):
    """Each pixel's world point, from the picture before, lands in the picture after on the same colour and depth."""
    changed = CHANGES[name](views)
    points = back_project(views.K, views.w2c, views.depths[:, 0])
    found = 0
    for view in (0, 1):
        one = slice(view, view + 1)
        projection = project(changed.K[one], changed.w2c[one], points[view], *changed.image_size)
        inside = projection.valid[0]
        if name == "all":  # what is padded shows no points of its own
            inside &= (projection.pixels_xy[0] < torch.tensor([35.5, 23.5])).all(dim=-1)
        x, y = projection.pixels_xy[0][inside].unbind(-1)
        torch.testing.assert_close(x, x.round(), atol=1e-3, rtol=0)  # whole pixels come to lie on whole pixels
        x, y = x.round().long(), y.round().long()
        for part in ("images", "masks", "depths", "true_depths"):
            before, after = getattr(views, part), getattr(changed, part)
            if after is not None:
                assert torch.equal(after[view][..., y, x], before[view][..., inside])
        torch.testing.assert_close(projection.depth[0][inside], views.depths[view, 0][inside])
        found += int(inside.sum())
    original = {"crop": 2 * 20 * 30, "crop over the edge": 2 * 35 * 16, "all": 2 * 24 * 36}
    assert found == original.get(name, 2 * HEIGHT * WIDTH)


@pytest.mark.parametrize("name", ["crop", "flip", "all"])
def test_depth_maps_still_back_project_into_the_world(views, name):
    changed = CHANGES[name](views)
    before = back_project(views.K, views.w2c, views.depths[:, 0]).reshape(2, -1, 3)
    after = back_project(changed.K, changed.w2c, changed.depths[:, 0])
    after = after[:, :24, :36] if name == "all" else after  # the rest is reflected, not seen
    for view in (0, 1):
        distance = torch.cdist(after[view].reshape(-1, 3)[::7], before[view]).amin(dim=1)
        assert distance.max() < 2e-3


def test_twice_mirrored_is_as_before(views):
    again = flip(flip(views))
    torch.testing.assert_close(again.K, views.K)
    assert torch.equal(again.images, views.images)
    assert torch.allclose(flip(views).K[0], torch.tensor([[-50, -0.3, WIDTH - 1 - 27], [0, 48, 21], [0, 0, 1]]))


def test_a_shared_window_fits_into_all_images_and_reaches_every_place():
    windows = {draw_window([(40, 56), (38, 60)], 36, 54, generator=GENERATOR) for _ in range(400)}
    assert {window[:2] for window in windows} == {(top, left) for top in range(3) for left in range(3)}
    assert {window[2:] for window in windows} == {(36, 54)}


def test_windows_start_uniformly():
    starts = [draw_window([(40, 56)], 31, None, generator=GENERATOR).top for _ in range(2000)]
    counts = np.bincount(starts, minlength=10)
    assert ((counts - 200) ** 2 / 200).sum() < 27.9  # chi-square, 9 degrees of freedom, one in a thousand


def test_sides_that_are_too_small_or_not_asked_for_are_kept(views):
    assert crop(views, draw_window([(40, 56)], 400, None, generator=GENERATOR)).image_size == (40, 56)
    assert crop(views, draw_window([(40, 56)], 400, 30, generator=GENERATOR)).image_size == (40, 30)
    window = draw_window([(40, 56), (64, 56)], 50, None, generator=GENERATOR)
    assert window == (0, 0, 50, 56)  # the larger image is cut, the smaller one kept whole


def test_unequal_arrays_are_filled_up_at_the_right_and_bottom():
    filled = pad_to_largest([np.ones((2, 3)), np.full((1, 4), 2.0)])
    assert filled.tolist() == [[[1, 1, 1, 0], [1, 1, 1, 0]], [[2, 2, 2, 2], [0, 0, 0, 0]]]


def test_padding_of_fitting_sizes_is_nothing_and_of_tiny_ones_an_error(views):
    fitting = crop(views, Window(0, 0, 32, 48))
    assert pad_by_reflection(fitting, 16) is fitting
    with pytest.raises(DatasetError, match="too small"):
        pad_by_reflection(crop(views, Window(0, 0, 8, 48)), 16)
    smallest = pad_by_reflection(crop(views, Window(0, 0, 9, 48)).replace(masks=None), 16)
    assert smallest.image_size == (16, 48)
    assert torch.equal(smallest.images[..., 15, :], smallest.images[..., 1, :])
