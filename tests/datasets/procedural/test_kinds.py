"""Every kind of procedural scene follows from its number, is sound, and shows nothing of the demo's test scenes."""

import numpy as np
import pytest

from maskrf_core.datasets.procedural.demo_recipes import RECIPES
from maskrf_core.datasets.procedural.kinds import KINDS, SHAPES, TEXTURES, compose


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_follows_from_its_name_alone(kind):
    first, again, other = (compose(f"{kind}_{number}") for number in ("0007", "0007", "0008"))
    assert np.array_equal(first.w2c, again.w2c)
    assert all(np.array_equal(a.mesh.vertices, b.mesh.vertices) for a, b in zip(first.items, again.items, strict=True))
    assert all(np.array_equal(a.texture, b.texture) for a, b in zip(first.items, again.items, strict=True))
    assert not np.array_equal(first.w2c, other.w2c)


@pytest.mark.parametrize("name", [f"{kind}_{number:04d}" for kind in KINDS for number in range(3)])
def test_scenes_are_sound(name):
    contents = compose(name)
    for item in contents.items:
        assert np.isfinite(item.mesh.vertices).all()
        assert np.isfinite(item.mesh.normals).all()
        assert item.texture.min() >= 0
    centres = -np.einsum("vji,vj->vi", contents.w2c[:, :, :3], contents.w2c[:, :, 3])
    distances = np.linalg.norm(centres[:, None] - centres, axis=-1) + 9 * np.eye(len(centres))
    assert distances.min() > 1e-3, "two cameras at one place"
    fields = np.degrees(2 * np.arctan(contents.image_size / 2 / contents.K[:, 0, 0]))
    assert 25 < fields.min() <= fields.max() < 80
    if contents.environment is None:
        lamps = [item for item in contents.items if item.emission]
        assert lamps, "a closed scene without light is black"
        lowest, highest = (
            getattr(np.concatenate([i.mesh.vertices for i in contents.items]), f)(0) for f in ("min", "max")
        )
        assert (centres > lowest + 0.1).all()
        assert (centres < highest - 0.1).all()


@pytest.mark.parametrize("name", [f"{kind}_{number:04d}" for kind in ("tables", "rooms") for number in range(3)])
def test_no_camera_of_a_closed_scene_stands_in_an_object(name):
    contents = compose(name)
    centres = -np.einsum("vji,vj->vi", contents.w2c[:, :, :3], contents.w2c[:, :, 3])
    for item in contents.items:
        lowest, highest = item.mesh.vertices.min(0), item.mesh.vertices.max(0)
        assert not ((centres > lowest) & (centres < highest)).all(1).any()


def test_what_only_the_demo_test_scenes_show_stays_unseen():
    trained, tested = (
        {word for name, recipe in RECIPES.items() if name.startswith(splits) for word in recipe[1].split()}
        for splits in (("train", "validation"), "test")
    )
    assert not (tested - trained) & set(SHAPES)
    assert "zigzag" not in TEXTURES
