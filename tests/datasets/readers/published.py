"""What the authors' readers return for the tiny trees of the reference folder, field by field."""

from pathlib import Path

import numpy as np

from maskrf_core.datasets.scene import Scene, open_scene

KINDS = {"val_all": "validation", "test_all": "test"}


def assert_as_published(shared: Path, name: str, *, grey_levels: int = 2) -> Scene:
    """Open `name` in the reference trees and hold every field of expected.npz to it; returns the scene.

    Numbers agree within 1e-4, pixels within `grey_levels` (0 where nothing is resized). Validation queries that are
    listed but have no file are ours to leave out.
    """
    with np.load(shared / "reference/datasets/expected.npz", allow_pickle=False) as file:
        prefix = name.replace("/", "|") + "/"
        expected = {key.removeprefix(prefix): file[key] for key in file.files if key.startswith(prefix)}
    assert expected, f"nothing is known of {name}"
    scene = open_scene(name, shared / "reference/datasets")
    assert scene.name == name
    assert scene.image_ids == expected.pop("image_ids").tolist()
    for field in ("K", "w2c", "depth_range"):
        ours = np.array([getattr(scene, field)(image_id) for image_id in scene.image_ids])
        np.testing.assert_allclose(ours, expected.pop(field), rtol=1e-4, atol=2e-6, err_msg=field)
    first = scene.image_ids[0]
    if "first_image_shape" in expected:
        image = scene.image(first)
        assert image.dtype == np.uint8
        assert image.shape == tuple(expected.pop("first_image_shape"))
        np.testing.assert_allclose(image.mean((0, 1)), expected.pop("first_image_mean_rgb"), atol=0.5)
        sample = expected.pop("first_image_sample").astype(int)
        step_y, step_x = image.shape[0] // 8, image.shape[1] // 8
        difference = image[::step_y, ::step_x][:8, :8].astype(int) - sample
        assert np.abs(difference).max() <= grey_levels
        np.testing.assert_allclose(scene.mask(first).mean(), expected.pop("first_mask_mean"), rtol=1e-4)
    for prefix, kind in KINDS.items():
        if f"{prefix}_ref" in expected:
            references, queries = scene.split(kind)
            assert references == expected.pop(f"{prefix}_ref").tolist()
            known = [query for query in expected.pop(f"{prefix}_query").tolist() if query in scene.image_ids]
            assert queries == known
    assert not expected, f"not compared: {sorted(expected)}"
    return scene
