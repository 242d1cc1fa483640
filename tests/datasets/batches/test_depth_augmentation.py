"""Augmented depth ranges and noisy depths: bounds that always hold, and how often what happens."""

import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.datasets.batches.depth_augmentation import (
    A_LITTLE_OFF,
    ESTIMATED_PROBABILITY,
    FAR_OFF,
    LARGEST_LOSS,
    add_depth_noise,
    as_estimated,
    augment_object_ranges,
    consistent_depth_ranges,
    jitter_depth_ranges,
    moved_rectangle,
    object_ranges,
    texture,
)
from tests.model.tiny import tiny_batch

DRAWS = 4000


def test_consistent_ranges_by_hand():
    assert consistent_depth_ranges(torch.tensor([[2.0, 4], [2, 6], [2, 8]])).tolist() == [
        [1, 7],  # 2 less would be 0, but near keeps half of itself; the length is kept
        [1, 7],
        [2, 8],
    ]


def test_consistent_ranges_have_the_longest_length_and_keep_what_they_hold():
    near = 1 + 4 * torch.rand(50, generator=torch.Generator().manual_seed(0))
    ranges = torch.stack([near, near * torch.linspace(1.1, 5, 50)], dim=1)
    made = consistent_depth_ranges(ranges)
    longest = (ranges[:, 1] - ranges[:, 0]).max()
    torch.testing.assert_close(made[:, 1] - made[:, 0], longest.expand(50))
    assert ((made[:, 0] <= ranges[:, 0]) & (made[:, 0] >= ranges[:, 0] / 2)).all()
    assert (made[:, 1] >= ranges[:, 1] - 1e-4).all()


def test_range_of_an_object_is_that_of_its_known_depths():
    depths = torch.tensor([[[[0.0, 3.0, 9.0], [2.0, 5.0, 0.0]]], [[[0.0] * 3] * 2]])
    objects = torch.tensor([[[True, True, False], [True, True, True]]] * 2)
    assert object_ranges(depths, objects).tolist() == [[2, 5], [torch.inf, 0]]


# Of two views, the first has the larger far of 1.1 · 4 / 10 and the second the larger near of 1 / (0.9 · 4).
RANGES, OBJECTS = torch.tensor([[0.5, 10.0], [1.0, 12.0]]), torch.tensor([[2.5, 4.0], [4.0, 4.5]])
LEAST_FAR, LEAST_NEAR = 1.1 * 4 / 10, 1 / (0.9 * 4)


def augmented(ranges=RANGES, objects=OBJECTS, draws=DRAWS, seed=0):
    generator = np.random.default_rng(seed)
    return torch.stack([augment_object_ranges(ranges, objects, generator=generator) for _ in range(draws)])


def test_ranges_of_objects_are_drawn_once_for_all_views():
    factors = augmented() / RANGES
    torch.testing.assert_close(factors[:, 0], factors[:, 1])


def test_ranges_of_objects_are_tightened_and_widened_as_often_and_as_far_as_published():
    near, far = (augmented() / RANGES)[:, 0].unbind(dim=1)
    # Tightened alone (0.1), widened alone (0.4), both (0.4), neither (0.1).
    assert (far == 1).float().mean() == pytest.approx(0.1, abs=0.02)
    assert ((near == 1) == (far == 1)).all()
    widened_alone = (far > 1.0249) & (near < 0.9751)
    assert widened_alone.float().mean() == pytest.approx(0.4, abs=0.05)  # and a little of both
    assert far.max() <= 1.1 + 1e-6
    assert far.max() > 1.09
    assert near.min() >= 0.9 - 1e-6
    # A far at its nearest is not widened by less than 2.5 %, where it is widened at all.
    assert far.min() >= LEAST_FAR
    assert far.min() < LEAST_FAR + 0.05
    assert near.max() <= 1 / LEAST_NEAR
    tightened = far < 1
    mean = (1 + LEAST_FAR) / 2 * (0.2 + 0.8 * 1.0625)
    assert far[tightened].mean() == pytest.approx(mean, abs=0.02)
    inverse = 1 / near[tightened & (near > 1.1)]  # uniform, but for the margin
    assert inverse.mean() == pytest.approx((LEAST_NEAR + 1 / 1.1) / 2, abs=0.03)
    assert np.corrcoef(far[tightened], near[tightened])[0, 1] == pytest.approx(0, abs=0.12)


def test_tightened_ranges_hold_the_object():
    near, far = augmented().unbind(dim=2)
    assert (near <= 0.9 * OBJECTS[:, 0] + 1e-5).all()
    assert (far >= 1.1 * OBJECTS[:, 1] - 1e-5).all()


def test_ranges_that_fit_already_are_only_widened():
    """The object nearly fills its range: 1.1 times its largest depth is beyond far, and near likewise."""
    factors = augmented(torch.tensor([[2.0, 4.0]]), torch.tensor([[2.1, 3.9]]))[:, 0] / torch.tensor([2.0, 4.0])
    assert (factors[:, 0] <= 1).all()
    assert (factors[:, 1] >= 1).all()
    assert (factors[:, 1] > 1).float().mean() == pytest.approx(0.8, abs=0.027)


def test_unknown_objects_tighten_nothing():
    unknown = torch.tensor([[torch.inf, 0.0]] * 2)
    factors = augmented(objects=unknown) / RANGES
    assert (factors[..., 0] <= 1).all()
    assert (factors[..., 1] >= 1).all()
    half_known = torch.stack([OBJECTS[0], unknown[0]])
    near, far = augmented(objects=half_known).unbind(dim=2)
    assert ((near < far) & (near > 0)).all()
    assert far[:, 0].min() >= 1.1 * 4 - 1e-5


def test_ranges_are_jittered_rarely_and_widen_by_up_to_five_percent():
    generator = np.random.default_rng(3)
    drawn = torch.stack([jitter_depth_ranges(RANGES, generator=generator) for _ in range(3 * DRAWS)])
    factors = drawn / RANGES
    torch.testing.assert_close(factors[:, 0], factors[:, 1])  # one draw for all views
    near, far = factors[:, 0].unbind(dim=1)
    changed = far != 1
    assert ((near != 1) == changed).all()  # both ends together
    assert changed.float().mean() == pytest.approx(0.05, abs=0.0084)  # 4.2 standard deviations
    for widening in (1 - near[changed], far[changed] - 1):
        assert (widening.min() >= 0) & (widening.max() <= 0.05 + 1e-6)
        assert widening.mean() == pytest.approx(0.025, abs=0.003)
        assert widening.std() == pytest.approx(0.05 / 12**0.5, rel=0.1)
    assert np.corrcoef(near[changed], far[changed])[0, 1] == pytest.approx(0, abs=0.2)


HEIGHT, WIDTH = 40, 81  # of the object, whose extent is 39 × 80
LENGTH = 2.0


def noise(seed):
    """Offsets of one view as shares of the range's length: (on its object, a full rectangle; of the other known)."""
    depths, objects = torch.zeros(1, 1, 60, 100), torch.zeros(1, 60, 100, dtype=torch.bool)
    depths[0, 0, 10:50, 10:91] = 30.0
    depths[0, 0, :8] = 35.0  # known, but not the object's
    objects[0, 10:50, 10:91] = True
    before = depths.clone()
    ranges = torch.tensor([[0.5, 0.5 + LENGTH]])
    noisy = add_depth_noise(depths, objects, ranges, generator=np.random.default_rng(seed))
    assert torch.equal(depths, before)  # the true depth stays
    assert torch.equal(noisy[depths == 0], depths[depths == 0])  # unknown stays unknown
    offsets = (noisy - before) / LENGTH
    return offsets[objects[None]].numpy().reshape(HEIGHT, WIDTH), offsets[0, 0, :8].numpy()


def test_noise_is_as_large_and_as_frequent_as_published():
    count = 1500
    rough = far_off = a_little = 0
    for seed in range(count):
        on_object, elsewhere = noise(seed)
        rough += elsewhere.any()
        assert np.abs(elsewhere).max() <= 0.005 + 1e-5  # rectangles move what is the object's alone
        far_off += (np.abs(on_object) > 0.3).any()
        a_little += ((np.abs(on_object) > 0.0101) & (np.abs(on_object) < 0.3)).any()
        assert np.abs(on_object).max() <= 1.1 + 0.055 + 0.005 + 1e-4
    assert rough / count == pytest.approx(0.5, abs=0.055)  # 4.2 standard deviations
    assert far_off / count == pytest.approx(0.25, abs=0.047)
    assert a_little / count == pytest.approx(0.5 * (1 - 0.09), abs=0.07)  # of these, few are within 0.0101


def test_a_whole_map_is_rough_pixel_by_pixel():
    rough = next(elsewhere for _, elsewhere in map(noise, range(20)) if elsewhere.any()).flatten()
    assert rough.mean() == pytest.approx(0, abs=0.0005)
    assert rough.std() == pytest.approx(0.01 / 12**0.5, rel=0.1)
    assert len(np.unique(rough)) > 700


@pytest.mark.parametrize("kind", [FAR_OFF, A_LITTLE_OFF])
def test_rectangles_have_the_published_sizes_and_offsets(kind):
    rows, columns = (part.flatten() for part in np.mgrid[:HEIGHT, :WIDTH])
    extents, middles, rough = [], [], []
    for seed in range(1500):
        moved = moved_rectangle(rows, columns, kind, generator=np.random.default_rng(seed)).reshape(HEIGHT, WIDTH)
        own = moved[np.ix_((moved != 0).any(axis=1), (moved != 0).any(axis=0))]
        assert (own != 0).all()  # a full rectangle
        extents.append(own.shape)
        middles.append((own.max() + own.min()) / 2)
        rough.append(np.ptp(own) / 2)
    heights, widths = (np.array(extents).T - 1) / (np.array([[HEIGHT], [WIDTH]]) - 1)
    low, high = kind.half_sides
    for sides, pixel in ((heights, 1 / (HEIGHT - 1)), (widths, 1 / (WIDTH - 1))):
        assert sides.max() <= 2 * high + 1e-6
        whole = sides > 2 * low - 2 * pixel  # smaller ones are cut off by the object's edge
        assert whole.mean() > 0.7
        assert sides[whole].max() > 2 * high - 2 * pixel - 1e-6
    assert abs(np.corrcoef(heights, widths)[0, 1]) < 0.15  # drawn apart
    middles, rough = np.array(middles), np.array(rough)
    assert np.mean(middles > 0) == pytest.approx(0.5, abs=0.055)
    least, most = kind.offsets
    assert np.abs(middles).min() >= least - kind.roughness
    assert np.abs(middles).max() <= most + kind.roughness
    assert np.abs(middles).mean() == pytest.approx((least + most) / 2, rel=0.05)
    assert rough.max() <= kind.roughness + 1e-6
    assert rough.max() > 0.9 * kind.roughness


def test_published_sizes():
    assert FAR_OFF == (0.25, (0.05, 0.1), (0.5, 1.0), 0.1)
    assert A_LITTLE_OFF == (0.5, (0.1, 0.2), (0.01, 0.05), 0.005)


def test_depth_stays_known_and_in_front():
    depths, objects = torch.full((1, 1, 8, 8), 1.0), torch.ones(1, 8, 8, dtype=torch.bool)
    ranges = torch.tensor([[0.8, 40.0]])
    for seed in range(50):
        noisy = add_depth_noise(depths, objects, ranges, generator=np.random.default_rng(seed))
        assert noisy.min() >= 0.4
    unknown = torch.zeros_like(depths)
    assert torch.equal(add_depth_noise(unknown, objects, ranges, generator=np.random.default_rng(0)), unknown)


def half_textured() -> Views:
    """Two views of depth 3 whose left half is grey and whose right half is a chessboard; one corner is unknown."""
    row, column = torch.meshgrid(torch.arange(32), torch.arange(64), indexing="ij")
    board = torch.where(column < 32, 0.5, ((row + column) % 2).float()).expand(2, 3, -1, -1)
    depths = torch.full((2, 1, 32, 64), 3.0)
    depths[:, :, :4, -4:] = 0
    return tiny_batch(2, 1, 32, 64).references.replace(images=board, depths=depths, true_depths=depths)


def test_what_an_estimator_would_miss_is_unknown():
    views = half_textured()
    draws = [as_estimated(views, generator=np.random.default_rng(seed)) for seed in range(400)]
    changed = [each for each in draws if each is not views]
    assert len(changed) / len(draws) == pytest.approx(ESTIMATED_PROBABILITY, abs=0.07)
    assert all(torch.equal(each.true_depths, views.true_depths) for each in changed)
    lost = torch.stack([each.depths == 0 for each in changed]).float()
    assert (lost[..., :28] == 1).all()  # without texture
    assert (lost[:, :, :, :4, -4:] == 1).all()  # unknown before
    assert lost[..., 8:, 40:].mean() == pytest.approx(LARGEST_LOSS / 2, abs=0.05)
    known = torch.stack([each.depths for each in changed])[..., 8:, 40:]
    assert (known[known > 0] - 3).abs().median() < 0.05
    assert (known[known > 0] - 3).abs().max() > 0.3


def test_texture_by_hand():
    flat = torch.full((1, 3, 9, 9), 0.25)
    step = flat.clone()
    step[..., 5:] = 0.75  # one change of 0.5 in each row
    assert texture(flat).abs().max() == 0
    found = texture(step)[0, 0, 4]
    torch.testing.assert_close(found[4], torch.tensor(0.5 / 7))
    assert found[0] == 0


def test_nothing_is_estimated_where_there_are_no_depths():
    views = half_textured().replace(depths=None)
    assert as_estimated(views, generator=np.random.default_rng(0)) is views
