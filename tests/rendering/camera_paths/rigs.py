"""Rigs of cameras made up for tests, and what hypothesis draws of them."""

import numpy as np
from hypothesis import strategies as st

from maskrf_core.rendering.camera_paths.rig import CameraRig

K = np.array([[50.0, 0, 31.5], [0, 55.0, 20.25], [0, 0, 1]])
Z = np.array([0.0, 0, 1])


def pose(centre, forward, up=Z):
    """w2c of a camera at `centre` that looks along `forward`, by Gram and Schmidt."""
    forward = np.asarray(forward, float) / np.linalg.norm(forward)
    down = -(np.asarray(up, float) - (up @ forward) * forward)
    down /= np.linalg.norm(down)
    rotation = np.stack([np.cross(down, forward), down, forward])
    return np.c_[rotation, -rotation @ np.asarray(centre, float)]


def rig_at(centres, forwards, ups=None, ranges=(2.0, 6.0), size=(42, 64)):
    """A rig named `made/up` with views v0, v1, …; one `forward` and range for all will do."""
    centres = np.asarray(centres, float)
    count = len(centres)
    forwards = np.broadcast_to(np.asarray(forwards, float), (count, 3))
    ups = [Z] * count if ups is None else ups
    w2c = np.stack([pose(*part) for part in zip(centres, forwards, ups, strict=True)])
    ranges = np.broadcast_to(np.asarray(ranges, float), (count, 2)).copy()
    return CameraRig("made/up", [f"v{index}" for index in range(count)], np.stack([K] * count), w2c, ranges, size)


def ring(count=12, radius=4.0, height=1.0, target=(0.5, -0.25, 0.3), arc=2 * np.pi, start=0.0):
    """Cameras over an arc around `target`, all looking at it."""
    target = np.asarray(target)
    angles = start + np.arange(count) * (arc / count if arc >= 2 * np.pi else arc / (count - 1))
    offsets = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(count, height)], axis=1)
    return rig_at(target + offsets, -offsets)


def wall(columns=5, rows=3, step=0.2):
    """Forward-facing cameras on a grid in the plane y = 0 that look along +y."""
    x, z = np.meshgrid(np.arange(columns) * step, np.arange(rows) * step)
    return rig_at(np.stack([x.ravel(), np.zeros(x.size), z.ravel()], axis=1), [0, 1, 0])


def centres_of(w2c):
    return -np.einsum("fji,fj->fi", w2c[:, :, :3], w2c[:, :, 3])


def assert_proper(w2c):
    rotations = w2c[:, :, :3]
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-9)
    assert np.isfinite(w2c).all()


RIGS = st.tuples(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.sampled_from([(1, 1, 1), (1, 1, 0), (1, 0, 0), (0, 0, 0)]),
    st.sampled_from([1e-3, 1.0, 100.0]),
    st.sampled_from([0.0, 0.2, 3.0]),
)
"""Seed, number of cameras, in which directions they are spread and how far, and how much they are turned."""


def random_rig(seed, count, flatness, spread, turn):
    """Cameras anywhere, turned anyhow; by `flatness` in a plane, on a line or in one place."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, 3)) * flatness * spread + rng.normal(size=3) * spread
    forwards = np.array([0, 1.0, 0.1]) + turn * rng.normal(size=(count, 3))
    ups = Z + 0.5 * turn * rng.normal(size=(count, 3))
    near = rng.uniform(0.1, 2, count)
    return rig_at(centres, forwards, list(ups), np.stack([near, near * rng.uniform(1.2, 50, count)], axis=1))
