"""The mask that 03 shows, and where notebooks leave their numbers."""

import json

import numpy as np
import pytest

from maskrf_core.settings.config import load_config
from maskrf_core.workbook.experiments.mask_demonstration import (
    RayMask,
    has_its_share,
    mask_of_one_ray,
    masks_of_strategies,
)
from maskrf_core.workbook.experiments.recorded_results import record
from maskrf_core.workbook.parameters import DataParameters

pytestmark = pytest.mark.usefixtures("smoke")


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.75])
def test_the_share_of_masked_samples_is_the_ratio(ratio):
    config = load_config("pretrain", "demo", {"masking.mask_ratio": ratio})
    ray = mask_of_one_ray(config)
    samples = config.model.coarse_samples + config.model.fine_samples
    assert ray.mask.shape == (config.data.working_views, samples)
    assert ray.mask.any(axis=0).sum() == int(samples * ratio)
    assert (np.diff(ray.depths) >= 0).all()


def test_the_mask_follows_from_the_seed():
    first, again, other = (
        mask_of_one_ray(load_config("pretrain", "demo", {"training.seed": seed})).mask for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_strategy_masks_the_same_ray_in_its_way():
    rays = masks_of_strategies(load_config("pretrain", "demo", {"masking.mask_ratio": 0.7}))
    assert list(rays) == ["ray_and_view", "ray", "view", "block", "near_surfaces"]
    assert all(has_its_share(ray, strategy) for strategy, ray in rays.items())
    assert all(np.array_equal(ray.depths, rays["ray"].depths) for ray in rays.values())
    assert rays["view"].mask.any(axis=1).sum() == 2  # of 3
    assert rays["view"].mask.any(axis=0).all()
    assert (np.diff(np.flatnonzero(rays["block"].mask.any(axis=0))) == 1).all()
    assert rays["ray_and_view"].mask.mean() < rays["ray"].mask.mean() == 11 / 16


def test_a_ray_of_a_range_has_the_share_that_was_drawn():
    config = load_config("pretrain", "demo", {"masking.mask_ratio": 0.1, "masking.largest_mask_ratio": 0.9})
    ray = mask_of_one_ray(config)
    assert 0.1 < ray.ratio <= 0.9
    assert ray.mask.any(axis=0).sum() == int(16 * ray.ratio)
    assert has_its_share(ray, "ray_and_view")


def test_another_share_is_noticed():
    mask = np.zeros((4, 10), bool)
    mask[1, :5] = True
    assert has_its_share(RayMask(mask, np.arange(10.0), 0.5), "ray")
    assert not has_its_share(RayMask(mask, np.arange(10.0), 0.4), "ray")
    assert not has_its_share(RayMask(mask, np.arange(10.0), 0.5), "view")
    assert has_its_share(RayMask(mask, np.arange(10.0), 0.25), "view")


def test_numbers_are_recorded_with_what_made_them(tmp_path):
    parameters = DataParameters(runs_root=str(tmp_path), scene="demo/test_00", seed=5)
    folder = parameters.run_folder("01_data_prep")
    assert folder.name == "01_data_prep-seed=5-scene=demo_test_00"
    record(folder, parameters, {"kept": 0.5})
    written = json.loads((folder / "results.json").read_text())
    assert written["results"] == {"kept": 0.5}
    assert written["parameters"]["scene"] == "demo/test_00"
    assert written["provenance"]["seed"] == 5
