"""The demo objects' meshes."""

import numpy as np
import pytest

from maskrf_core.datasets.procedural.shapes import SHAPES, make_shape


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_are_closed_and_of_unit_radius(kind):
    mesh = make_shape(kind, rng=np.random.default_rng(5))
    assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(1)
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1)
    assert mesh.uv.min() == 0
    assert mesh.uv.max() == 1
    _, welded = np.unique(np.round(mesh.vertices, 5), axis=0, return_inverse=True)
    triangles = welded.reshape(-1)[mesh.triangles]
    triangles = triangles[(triangles != np.roll(triangles, 1, axis=1)).all(1)]
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert (uses % 2 == 0).mean() > 0.99, "holes in the surface"


def test_the_spheres_normals_are_its_points():
    mesh = make_shape("sphere", rng=np.random.default_rng(0))
    assert np.abs((mesh.normals * mesh.vertices).sum(1)).min() > 0.999
