"""A point of the world lands on the same content of the picture, from the files of any format to the batch."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from maskrf_core.cameras import project
from maskrf_core.datasets.batches.augment import Window, crop, fill_up, flip, pad_by_reflection
from maskrf_core.datasets.batches.batch import Views
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.captures import capture_preparation
from maskrf_core.datasets.scene import Scene, open_scene
from tests.datasets.made_up_scenes import FORMATS, MadeUpScene, make_up
from tests.tiers import LONG

TOLERANCE = 0.1  # pixels
RADIUS = 6  # pixels around a dot in which its centre of mass is measured
STEPS: dict[str, Callable[[Views], Views]] = {
    "as it is": lambda views: views,
    "cropped": lambda views: crop(views, Window(3, 2, views.image_size[0] - 5, views.image_size[1] - 4)),
    "mirrored": flip,
    "padded": lambda views: pad_by_reflection(views, 16),
    "filled up": lambda views: fill_up(views, views.image_size[0] + 7, views.image_size[1] + 3),
}


def in_scene(scene: Scene, made: MadeUpScene) -> np.ndarray:
    """The points in the coordinates of the scene, which may be moved, turned and scaled: as its first cameras are."""
    centres = [np.linalg.inv(np.vstack([scene.w2c(image_id), [0, 0, 0, 1]]))[:3, 3] for image_id in scene.image_ids[:2]]
    truth = [made.c2w(view)[:3, 3] for view in (0, 1)]
    scale = np.linalg.norm(centres[1] - centres[0]) / np.linalg.norm(truth[1] - truth[0])
    first, w2c = made.w2c[0], scene.w2c(scene.image_ids[0])
    return (scale * (made.points @ first[:, :3].T + first[:, 3]) - w2c[:, 3]) @ w2c[:, :3]


def farthest_off(views: Views, points: np.ndarray, shift: np.ndarray) -> float:
    """The largest distance, in pixels, of a dot's centre of mass from where the batch's cameras see the point."""
    height, width = views.image_size
    places = project(views.K, views.w2c, torch.from_numpy(points).float(), height, width).pixels_xy.double().numpy()
    distances = []
    for picture, dots in zip(views.images[:, 0].double().numpy(), places + shift, strict=True):
        for x, y in dots:
            rows, columns = (np.arange(round(middle) - RADIUS, round(middle) + RADIUS + 1) for middle in (y, x))
            if rows[0] < 0 or columns[0] < 0 or rows[-1] >= height or columns[-1] >= width:
                continue
            mass = picture[np.ix_(rows, columns)]
            assert mass.max() > 0.3, "no dot where one should be"
            centre = (mass.sum(0) @ columns, mass.sum(1) @ rows)
            distances.append(np.hypot(*(np.array(centre) / mass.sum() - (x, y))))
    assert len(distances) >= len(views), "too few dots to measure"
    return max(distances)


def check(name: str, made: MadeUpScene) -> None:
    with tempfile.TemporaryDirectory() as folder, mock.patch(f"{capture_preparation.__name__}.ranges_from_sweep", wide):
        called = FORMATS[name].write(Path(folder), made)
        smaller = called.replace("/raw", f"/{round(0.7 * max(made.size))}")
        for asked in {called, smaller if called.startswith("capture") else called}:
            scene = open_scene(asked, folder)
            views = SceneViews(scene).load(scene.image_ids)
            points = in_scene(scene, made)
            for step, change in STEPS.items():
                mirrored = -1 if step == "mirrored" else 1
                shift = np.array([FORMATS[name].shift * mirrored, FORMATS[name].shift])
                assert farthest_off(change(views), points, shift) < TOLERANCE, f"{asked}, {step}"


def wide(scene: Scene, size: tuple[int, int]) -> list[tuple[float, float]]:
    """Depth ranges without the seconds of a plane sweep: they move no point."""
    return [scene.depth_range(image_id) for image_id in scene.image_ids]


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=20 if LONG else 2, deadline=None, derandomize=True, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32 - 1), exponent=st.floats(-3, 6), shift=st.sampled_from([0.0, 1e2, 4e6, 1e8]))
def test_a_point_lands_on_its_content(name: str, seed: int, exponent: float, shift: float):
    """Whatever the size, principal point, pixel aspect, axes, units and origin of the world."""
    form, scale = FORMATS[name], 10**exponent
    made = make_up(np.random.default_rng(seed), scale=scale, shift=shift, square=form.square, middle=form.middle)
    check(name, made)
