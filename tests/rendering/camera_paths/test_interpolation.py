"""Paths through views: exactly through them, smooth between them, closed, and the shortest way round."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from maskrf_core.rendering.camera_paths.trajectories import chosen_views, frames_of_legs, interpolation, view_distances
from maskrf_core.settings.sections import PathSettings
from maskrf_core.support.errors import DatasetError
from tests.rendering.camera_paths.rigs import RIGS, Z, assert_proper, centres_of, random_rig, rig_at, ring, wall


def frames_at(w2c, pose):
    return np.flatnonzero(np.abs(w2c - pose).max(axis=(1, 2)) < 1e-9)


def test_it_passes_exactly_through_named_views_in_their_order():
    rig = ring(12)
    w2c = interpolation(rig, PathSettings(frames=30, views=["v3", "v7", "v0", "v10"]))
    places = [frames_at(w2c, rig.w2c[index]) for index in (3, 7, 0, 10)]
    assert [len(place) for place in places] == [1, 1, 1, 1]
    assert places[0] == 0
    assert np.concatenate(places).tolist() == sorted(np.concatenate(places).tolist())
    assert_proper(w2c)


def test_position_speed_and_acceleration_have_no_jumps_and_the_loop_closes():
    rig = ring(9)
    coarse, fine = (interpolation(rig, PathSettings(frames=frames, views=["v0", "v3", "v6"])) for frames in (90, 900))

    def jumps(w2c, order):
        centres = centres_of(w2c)
        closed = np.concatenate([centres, centres[: order + 1]])
        return np.abs(np.diff(closed, order, axis=0)).max()

    # Ten times the frames: a continuous k-th derivative makes k-th differences 10^k smaller; a jump of the speed would
    # make second differences only 10 times smaller.
    assert jumps(coarse, 1) / jumps(fine, 1) == pytest.approx(10, rel=0.05)
    assert jumps(coarse, 2) / jumps(fine, 2) == pytest.approx(100, rel=0.1)


def test_rotations_turn_evenly_between_two_views():
    rig = rig_at([[0, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 0, 0]])  # 90° apart about z
    w2c = interpolation(rig, PathSettings(frames=20))
    angles = Rotation.from_matrix(w2c[:, :, :3] @ w2c[0, :, :3].T).magnitude()
    np.testing.assert_allclose(np.degrees(angles[:11]), np.linspace(0, 90, 11), atol=1e-9)
    np.testing.assert_allclose(w2c[11:, :, :3], w2c[9:0:-1, :, :3], atol=1e-9)  # and back the same way


def test_two_views_are_a_way_there_and_back():
    centres = centres_of(interpolation(rig_at([[0, 0, 0], [1, 0, 0]], [0, 1, 0]), PathSettings(frames=8)))
    np.testing.assert_allclose(centres[:, 1:], 0, atol=1e-12)
    assert centres[4, 0] == pytest.approx(1)
    assert ((centres[:, 0] >= -1e-9) & (centres[:, 0] <= 1 + 1e-9)).all()


def test_turns_repeat_the_tour():
    w2c = interpolation(ring(6), PathSettings(frames=24, turns=2))
    np.testing.assert_allclose(w2c[:12], w2c[12:])


def test_cameras_in_one_place_only_turn():
    angles = np.linspace(0, 2, 5)
    rig = rig_at([[1, 2, 3]] * 5, np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1))
    w2c = interpolation(rig, PathSettings(frames=20))
    np.testing.assert_allclose(centres_of(w2c), [[1, 2, 3]] * 20, atol=1e-9)
    assert_proper(w2c)


def test_chosen_views_are_far_from_each_other_and_toured_the_shortest_way():
    rig = ring(32)
    chosen = chosen_views(rig, 8)
    assert chosen[0] == 0
    assert sorted(chosen) == list(range(0, 32, 4))
    steps = np.diff([*chosen, 0]) % 32
    assert set(steps) in ({4}, {28})  # around the ring, one way or the other


def test_the_tour_is_the_shortest_of_all():
    rng = np.random.default_rng(3)
    rig = rig_at(rng.normal(size=(6, 3)), rng.normal(size=(6, 3)))
    distances = view_distances(rig)

    def length(order):
        return sum(distances[here, there] for here, there in pairwise([*order, order[0]]))

    assert length(chosen_views(rig, 6)) == pytest.approx(min(length((0, *rest)) for rest in permutations(range(1, 6))))


@given(
    lengths=st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=12),
    extra=st.integers(0, 500),
)
def test_legs_share_all_frames_in_proportion(lengths, extra):
    frames = len(lengths) + extra
    counts = frames_of_legs(np.array(lengths), frames)
    assert counts.sum() == frames
    assert counts.min() >= 1
    shares = np.array(lengths) / (sum(lengths) or 1)
    if sum(lengths) > 0:
        assert np.abs(counts - 1 - shares * extra).max() < 1 + 1e-6


@pytest.mark.parametrize(
    ("rig", "asked", "message"),
    [
        (wall(1, 1), {}, r"made/up: a path through views needs at least two.*there is 1.*spiral or circle"),
        (wall(), {"views": ["v0", "v1", "v2"], "frames": 2}, r"2 frames a turn cannot pass through 3 views"),
        (wall(), {"views": ["v0", "v111"]}, r"names 'v111', which is no reference view\. Did you mean 'v11'\?"),
        (wall(2, 1), {"views": ["v0", "nothing"]}, r"There are v0, v1"),
    ],
)
def test_what_cannot_be_is_explained(rig, asked, message):
    with pytest.raises(DatasetError, match=message):
        interpolation(rig, PathSettings(**asked))


def test_few_frames_choose_few_views():
    rig = ring(12)
    w2c = interpolation(rig, PathSettings(frames=3))
    assert all(any(len(frames_at(w2c[[index]], pose)) for pose in rig.w2c) for index in range(3))


@settings(max_examples=60, deadline=None)
@given(case=RIGS.filter(lambda case: case[1] > 1), frames=st.integers(2, 40))
def test_any_rig_is_passed_through(case, frames):
    rig = random_rig(*case)
    w2c = interpolation(rig, PathSettings(frames=frames))
    assert w2c.shape == (frames, 3, 4)
    assert_proper(w2c)
    scale = 1 + np.abs(rig.centres).max()
    for index in chosen_views(rig, min(8, frames)):
        close = np.abs(centres_of(w2c) - rig.centres[index]).max(axis=1) < 1e-9 * scale
        turned = np.abs(w2c[:, :, :3] - rig.w2c[index, :, :3]).max(axis=(1, 2)) < 1e-9
        assert (close & turned).any()


def test_upright_views_stay_upright_between():
    w2c = interpolation(ring(16, height=0.5), PathSettings(frames=64))
    assert (-w2c[:, 1, :3] @ Z > 0.9).all()
