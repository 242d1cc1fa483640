"""The direct head reproduces the authors' colours of both passes, through the renderer that people use."""

import pytest
import torch

from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import ModelSettings


@pytest.fixture(scope="module")
def with_head(published_renderer) -> Renderer:
    renderer = Renderer(ModelSettings(direct_rendering=True))
    renderer.load_state_dict(published_renderer.state_dict())  # the head has no weights of its own
    return renderer.eval()


@torch.no_grad()
@pytest.mark.parametrize("rays_per_chunk", [96, 31])
def test_direct_colours(with_head, reference_batch, reference_tensors, assert_matches, rays_per_chunk):
    expected = reference_tensors("direct_rendering.npz")
    rendering = with_head.render(reference_batch, rays_per_chunk)
    assert_matches(rendering.coarse.direct_rgb, expected["coarse_rgb_direct"], 5e-4)
    assert_matches(rendering.fine.direct_rgb, expected["fine_rgb_direct"], 5e-4)


@torch.no_grad()
def test_the_head_changes_nothing_else(with_head, published_renderer, reference_batch):
    without = published_renderer(reference_batch, mask_ratio=0.0)
    rendering = with_head(reference_batch, mask_ratio=0.0)
    assert without.fine.direct_rgb is None
    for ours, theirs in ((rendering.coarse, without.coarse), (rendering.fine, without.fine)):
        assert torch.equal(ours.rgb, theirs.rgb)
        assert torch.equal(ours.sample_depths, theirs.sample_depths)
