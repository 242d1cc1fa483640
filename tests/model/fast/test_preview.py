"""A preview looks at few samples in few views."""

import torch
from torch.testing import assert_close

from maskrf_core.model.fast.preview import PREVIEW_SETTINGS, VIEWS, nearest_views
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.settings.sections import RenderingSettings
from tests.model.tiny import tiny_batch, tiny_renderer


def test_the_nearest_views_are_taken_with_all_their_parts():
    batch = tiny_batch(views=5)
    chosen = nearest_views(batch.references, batch.query)
    assert torch.equal(chosen.w2c, batch.references.w2c[1:4])  # the query is near the middle of the arc
    assert torch.equal(chosen.images, batch.references.images[1:4])
    assert torch.equal(chosen.depths, batch.references.depths[1:4])
    assert len(nearest_views(batch.references.replace(**vars(chosen)), batch.query, 9)) == VIEWS


def test_a_preview_is_every_pixel_from_few_samples():
    renderer, batch = tiny_renderer(24, 12), tiny_batch(views=5)
    chunks = list(ChunkRenderer(renderer, RenderingSettings(mode="preview"), 4)(batch))
    preview = torch.cat([chunk.fine.rgb for chunk in chunks])
    assert preview.shape == (len(batch.pixels_xy), 3)
    assert {chunk.fine.sample_depths.shape[1] for chunk in chunks} == {PREVIEW_SETTINGS.samples}
    assert PREVIEW_SETTINGS.samples <= 10


def test_a_preview_that_leaves_no_sample_out_is_the_exact_rendering_from_the_nearest_views():
    renderer, batch = tiny_renderer(24, 12), tiny_batch(views=5)
    chunks = ChunkRenderer(renderer, RenderingSettings(mode="preview"), 4, (1, 36))(batch)
    few = batch.replace(references=nearest_views(batch.references, batch.query))
    assert_close(torch.cat([chunk.fine.rgb for chunk in chunks]), renderer.render(few).fine.rgb, atol=2e-4, rtol=0)
