"""Small pictures under masks: nothing masked is the usual rendering, and all renderers see the same masks."""

import numpy as np
import torch

from maskrf_core.workbook.experiments.masked_pictures import masked_pictures
from tests.workbook.small_inspection import small_inspection


def test_pictures_are_renderings_beside_the_truth():
    inspection = small_inspection(0)
    inspection.renderers["twin"] = inspection.renderers["seed 0"]
    found = masked_pictures(inspection, ["seed 0", "twin"], [0.0, 0.5], side=4)
    batch, _ = inspection.encoded("seed 0")
    x, y = torch.meshgrid(*[(torch.arange(4.0) + 0.5) * 24 - 0.5] * 2, indexing="xy")
    pixels = torch.stack([x, y], dim=-1).view(-1, 2)
    rendered = inspection.renderers["seed 0"].render(batch.replace(pixels_xy=pixels))
    whole, masked = (found.pictures["seed 0"][ratio] for ratio in (0.0, 0.5))
    np.testing.assert_allclose(whole, rendered.fine.rgb.view(4, 4, 3).clamp(0, 1), atol=1e-5)
    between = batch.query.images[0].permute(1, 2, 0).numpy()[11:13, 11:13].mean(axis=(0, 1))
    np.testing.assert_allclose(found.truth[0, 0], between, atol=1e-5)
    assert not np.allclose(masked, whole, atol=1e-4)
    assert np.array_equal(found.pictures["twin"][0.5], masked)
    assert found.psnr("seed 0", 0.0) == -10 * np.log10(np.mean(np.square(whole.astype(float) - found.truth)))
