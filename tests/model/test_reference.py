"""What the tricks of the renderer give is what the plain computation gives, and so are the gradients."""

import torch

from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import MaskingSettings, ModelSettings
from tests.model.tiny import tiny_batch
from tests.reference import ReferenceRenderer


def test_rendering_and_gradients_of_both():
    settings, masking = ModelSettings(coarse_samples=12, fine_samples=6), MaskingSettings()
    torch.manual_seed(0)
    fast, plain = Renderer(settings, masking).train(), ReferenceRenderer(settings, masking).train()
    plain.load_state_dict(fast.state_dict())
    totals = []
    for renderer in (fast, plain):
        rendering = renderer(tiny_batch(), mask_ratio=0.5, generator=torch.Generator().manual_seed(3))
        totals.append(rendering)
        (
            rendering.fine.rgb.square().sum() + rendering.coarse.depth.sum() + rendering.masked.prediction.sum()
        ).backward()
    for name in ("rgb", "depth", "hit_probability"):
        of_fast, of_plain = (getattr(rendering.fine, name) for rendering in totals)
        torch.testing.assert_close(of_fast, of_plain, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(totals[0].masked.prediction, totals[1].masked.prediction, atol=1e-4, rtol=1e-4)
    gradients = [{name: of.grad for name, of in renderer.named_parameters()} for renderer in (fast, plain)]
    assert sum(gradient is not None for gradient in gradients[0].values()) > 100
    largest = max(gradient.norm() for gradient in gradients[1].values() if gradient is not None)
    for name, gradient in gradients[0].items():
        if gradient is not None:
            of_plain = gradients[1][name]
            assert (gradient - of_plain).norm() <= 1e-2 * of_plain.norm() + 1e-6 * largest, name
