"""What every scene promises (`maskrf_core.datasets.scene.Scene`), held to it."""

import numpy as np

from maskrf_core.datasets.scene import Scene


def assert_valid_scene(scene: Scene) -> None:
    """Read everything of the scene and check types, shapes and ranges."""
    assert len(set(scene.image_ids)) == len(scene.image_ids) > 0
    for image_id in scene.image_ids:
        assert_valid_view(scene, image_id)
    for kind in ("train", "validation", "test"):
        references, queries = scene.split(kind)
        assert set(references) | set(queries) <= set(scene.image_ids)
        if kind != "train":
            assert not set(references) & set(queries)


def assert_valid_view(scene: Scene, image_id: str) -> None:
    """One view of it."""
    image, mask, depth = scene.image(image_id), scene.mask(image_id), scene.depth(image_id)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert mask.dtype == bool
    assert mask.shape == image.shape[:2]
    if depth is not None:
        assert depth.dtype == np.float32
        assert depth.shape == image.shape[:2]
        assert np.isfinite(depth).all()
        assert (depth >= 0).all()
    K = scene.K(image_id)
    assert K.shape == (3, 3)
    assert np.isfinite(K).all()
    assert K[0, 0] > 0
    assert K[1, 1] > 0
    np.testing.assert_array_equal(K[2], [0, 0, 1])
    rotation, translation = np.split(np.asarray(scene.w2c(image_id), np.float64), [3], axis=1)
    assert np.isfinite(translation).all()
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=2e-3)
    assert np.linalg.det(rotation) > 0
    near, far = scene.depth_range(image_id)
    assert 0 < near < far < np.inf
