"""The published mixture through the real readers, on the reference's tiny trees of the five data sets in it."""

import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches import scene_views as views
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.settings.config import load_config

CROP = (64, 96)


def middle_of_range(scene, image_ids, **_):
    """As if estimates were kept, which would take a minute here."""
    return {name: np.full(scene.mask(name).shape, np.mean(scene.depth_range(name)), np.float32) for name in image_ids}


@pytest.fixture(scope="module")
def draws(shared):
    """60 batches, by the data set that each is from."""
    asked = {"data.data_root": str(shared / "reference/datasets"), "data.working_views": 2, "data.rays": 32}
    asked |= {"data.crop_height": CROP[0], "data.crop_width": CROP[1]}
    mixture = Mixture(load_config("pretrain", "paper", asked).data, None)
    assert not mixture.notices
    generator, found = np.random.default_rng(0), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "known_depth_maps", middle_of_range)
        for _ in range(60):
            draw = mixture.draw(generator)
            found.setdefault(draw.origin.removeprefix("scene ").split("/")[0], []).append(draw.batch)
    return found


def test_every_data_set_is_drawn_the_heaviest_most(draws):
    assert set(draws) == {"gso", "dtu_train", "real_iconic", "space", "real_estate"}
    assert max(draws, key=lambda data_set: len(draws[data_set])) == "gso"


def test_batches_are_what_the_model_takes(draws):
    for data_set, batches in draws.items():
        for batch in batches:
            height, width = batch.references.image_size
            assert len(batch.references) == 2
            assert height % 16 == width % 16 == 0
            assert batch.references.depths.shape == (2, 1, height, width)
            lengths = [(part.depth_range[:, 1] - part.depth_range[:, 0]) for part in (batch.query, batch.references)]
            assert (torch.cat(lengths) > 0).all()
            rows, columns = batch.query.image_size
            assert ((batch.pixels_xy >= 0) & (batch.pixels_xy < torch.tensor([columns, rows]))).all()
            for part in (batch.query, batch.references):
                assert 0 <= part.images.min() < part.images.max() <= 1
                assert torch.isfinite(part.K).all()
            assert (batch.references.true_depths is not None) == (data_set == "gso")


def test_forward_facing_views_are_cropped_and_sometimes_mirrored(draws):
    batches = [batch for name in ("real_iconic", "space", "real_estate") for batch in draws[name]]
    assert all(batch.query.image_size == CROP for batch in batches)
    mirrored = {bool(batch.query.K[0, 0, 0] < 0) for batch in batches}
    assert mirrored == {True, False}
    assert all((batch.query.K[0, 0, 0] < 0) == (batch.references.K[0, 0, 0] < 0) for batch in batches)
    assert all(batch.query.K[0, 0, 0] > 0 for name in ("gso", "dtu_train") for batch in draws[name])
