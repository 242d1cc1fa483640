"""Pictures of a ray and of masks: what stands in line, and what is drawn where."""

import numpy as np
import pytest
import torch

from maskrf_core.workbook.experiments.masked_pictures import masked_pictures
from maskrf_core.workbook.figures.masked_views import masked_at, masked_strip
from maskrf_core.workbook.figures.ray_pictures import ray_picture, samples_in_views
from tests.workbook.small_inspection import small_inspection

XY = (48.0, 55.0)


def test_rows_of_a_ray_stand_in_line_and_show_its_mask():
    inspection = small_inspection(0)
    batch, _ = inspection.encoded("seed 0")
    look = inspection.look("seed 0", XY, mask_ratio=0.5)
    figure = ray_picture(batch, XY, inspection.truth("seed 0", XY), look)
    figure.draw_without_rendering()
    rows = figure.axes[2:]
    assert len(rows) == 4
    assert len({tuple(axes.get_xlim()) for axes in rows}) == 1
    assert len({axes.get_position().intervalx.tobytes() for axes in rows}) == 1
    assert np.array_equal(rows[2].images[0].get_array(), look.mask.numpy())
    plain = ray_picture(batch, XY, inspection.truth("seed 0", XY), inspection.look("seed 0", XY))
    assert len(plain.axes) == 4


@pytest.mark.parametrize("aggregator", ["ibrnet", "nerformer", "tests.model.toy_aggregator:MeanOverViews"])
def test_without_visibility_weights_of_the_views_are_shown(aggregator: str, tmp_path):
    inspection = small_inspection(0, aggregator=aggregator)
    batch, _ = inspection.encoded("seed 0")
    assert batch.references.depths is None
    look = inspection.look("seed 0", XY, mask_ratio=0.5)
    assert look.shown == "weight"
    torch.testing.assert_close(look.visibility.sum(dim=0).clamp(max=1), look.visibility.sum(dim=0), atol=1e-4, rtol=0)
    figure = ray_picture(batch, XY, inspection.truth("seed 0", XY), look)
    figure.savefig(tmp_path / "ray.png")
    assert any("weight" in axes.get_title(loc="left") for axes in figure.axes)
    assert not any("visibility" in axes.get_title(loc="left") for axes in figure.axes)
    gives = [text for text in figure.axes[0].texts if " gives " in text.get_text()]
    assert len(gives) == (len(look.shares) if aggregator == "ibrnet" else 0)  # the others predict colours


def test_samples_stand_on_the_pixels_that_they_are_seen_at():
    inspection = small_inspection(0)
    batch, _ = inspection.encoded("seed 0")
    places = torch.full((3, 1, 2), torch.nan)
    places[1, 0] = torch.tensor([0.0, 95.0])  # the centre of the last row's first pixel, in view 1
    figure = samples_in_views(batch, XY, places, torch.ones(3, 1))
    left, right, bottom, top = figure.axes[0].images[2].get_extent()
    pixel = (right - left) / 96
    (dots,) = (points.get_offsets() for points in figure.axes[0].collections)
    np.testing.assert_allclose(dots[1], [left + pixel / 2, bottom - pixel / 2])
    assert top < bottom


def test_a_strip_has_every_ratio_and_the_truth():
    found = masked_pictures(small_inspection(0, 1), ["seed 0", "seed 1"], [0.0, 0.9], side=4)
    strip = masked_strip(found, list(next(iter(found.pictures.values()))))
    drawn = [axes.images[0].get_array() for axes in strip.axes if axes.images]
    assert any(np.array_equal(picture, found.pictures["seed 1"][0.9]) for picture in drawn)
    assert sum(np.array_equal(picture, found.truth) for picture in drawn) == 2
    assert "90%" in masked_at(found, 0.9).get_suptitle()
