"""Bent, cut and wire shapes are what they are called, and stay whole."""

import numpy as np
import pytest

from maskrf_core.datasets.procedural.shape_changes import cut, make_changed_shape, pushed, refined, wire
from maskrf_core.datasets.procedural.shapes import SHAPES


def points(patches):
    return np.concatenate([patch.reshape(-1, 3) for patch in patches])


def test_refining_keeps_the_corners_and_the_surface():
    patch = np.array([[[0.0, 0, 0], [1, 0, 0], [2, 1, 0]], [[0, 1, 0], [1, 1, 0], [2, 2, 0]]])
    fine = refined(patch, least=8)
    assert min(fine.shape[:2]) >= 8
    assert all((np.abs(fine - corner).sum(-1) < 1e-12).any() for corner in patch.reshape(-1, 3))
    assert np.abs(fine[..., 2]).max() == 0


def test_patches_that_meet_still_meet_when_pushed():
    cube = [refined(patch) for patch in SHAPES["cube"](np.random.default_rng(0))]
    moved = pushed(cube, 0.2, 2.0, rng=np.random.default_rng(1))
    before, after = points(cube), points(moved)
    _, first, group = np.unique(np.round(before, 9), axis=0, return_index=True, return_inverse=True)
    assert len(first) < len(before), "the cube's patches share points"
    assert np.allclose(after, after[first][group.reshape(-1)])
    assert np.abs(after - before).max() > 0.05


def test_a_cut_leaves_nothing_beyond_a_plane_and_all_before_it_as_it_was():
    sphere = [refined(patch) for patch in SHAPES["sphere"](np.random.default_rng(0))]
    before, after = points(sphere), points(cut(sphere, rng=np.random.default_rng(3)))
    kept = np.abs(after - before).max(1) < 1e-12
    assert 0.3 < kept.mean() < 0.98
    assert np.linalg.norm(after, axis=1).max() <= 1 + 1e-9
    assert np.linalg.norm(after[~kept], axis=1).max() < 1


def test_wires_stay_within_their_radius_of_the_shape():
    surface = SHAPES["sphere"](np.random.default_rng(0))
    wires = points(wire(surface, radius=0.05))
    assert np.abs(np.linalg.norm(wires, axis=1) - 1).max() < 0.07


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("seed", range(6))
def test_changed_shapes_are_finite_and_of_unit_radius(kind, seed):
    mesh = make_changed_shape(kind, rng=np.random.default_rng(seed))
    assert np.isfinite(mesh.vertices).all()
    assert np.isfinite(mesh.normals).all()
    assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(1)
