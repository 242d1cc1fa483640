"""What every aggregator does behind the contract: few views, masks, dropout, thinned samples, other precisions."""

import subprocess
import sys

import pytest
import torch

from maskrf_core.model.aggregators.contract import BUILT_IN, Aggregator, find_aggregator
from maskrf_core.model.fast.adaptive_rendering import AdaptiveSettings, render_chunks_adaptively
from maskrf_core.model.fast.pass_variants import prepared_for_training
from maskrf_core.model.gathering import query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import concatenate
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.settings.sections import (
    AGGREGATORS,
    HardwareSettings,
    MaskingSettings,
    ModelSettings,
    RenderingSettings,
)
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.paths import ROOT
from tests.model.tiny import tiny_batch

TOY = "tests.model.toy_aggregator:MeanOverViews"
OTHERS = ["ibrnet", "nerformer", TOY]


def new_renderer(name: str, masking: MaskingSettings | None = None) -> Renderer:
    torch.manual_seed(0)
    return Renderer(ModelSettings(aggregator=name, coarse_samples=12, fine_samples=6), masking)


def without_depths(**sizes: int):
    batch = tiny_batch(**sizes)
    return batch.replace(references=batch.references.replace(depths=None, true_depths=None))


@pytest.fixture(params=OTHERS)
def renderer(request) -> Renderer:
    return new_renderer(request.param).eval()


def test_names_of_settings_and_of_classes_are_the_same():
    assert tuple(BUILT_IN) == AGGREGATORS
    assert all(issubclass(find_aggregator(name), Aggregator) for name in BUILT_IN)


@pytest.mark.parametrize("name", ["ibrnett", "nothing", ""])
def test_an_unknown_name_is_refused_with_the_nearest(name: str):
    with pytest.raises(ValueError, match="did you mean 'ibrnet'" if name == "ibrnett" else "known are neuray"):
        ModelSettings(aggregator=name)


@pytest.mark.parametrize("name", ["no_such_module:X", "tests.model.tiny:tiny_batch", "tests.model.tiny:X"])
def test_what_is_no_aggregator_is_refused(name: str):
    with pytest.raises(SettingsError, match=r"model\.aggregator"):
        Renderer(ModelSettings(aggregator=name))


@pytest.mark.parametrize("asked", [{"direct_rendering": True}, {"visibility_init": "cost_volume"}])
def test_what_is_about_visibility_is_refused_without_it(asked: dict):
    with pytest.raises(SettingsError, match="uses no visibility"):
        Renderer(ModelSettings(aggregator="ibrnet", **asked))


@pytest.mark.parametrize("asked", [{"target": "raw"}, {"target": "normalised"}, {"projector": False}])
def test_predictions_of_other_channels_than_the_target_are_refused(asked: dict):
    with pytest.raises(SettingsError, match="128"):
        new_renderer("nerformer", MaskingSettings(**asked))
    new_renderer("nerformer", MaskingSettings(target="colour"))


@torch.no_grad()
@pytest.mark.parametrize("views", [1, 2, 5])
def test_any_number_of_views_without_their_depths(renderer: Renderer, views: int):
    assert not any(renderer.inputs)
    rendering = renderer(without_depths(views=views), mask_ratio=0.0)
    for found in (rendering.coarse, rendering.fine):
        assert found.rgb.isfinite().all()
        assert found.depth.isfinite().all()
        assert (found.sample_depths.diff(dim=1) >= 0).all()
        assert ((found.hit_probability >= 0) & (found.hit_probability.sum(dim=1, keepdim=True) <= 1 + 1e-4)).all()
    again = renderer(without_depths(views=views), mask_ratio=0.0)
    assert torch.equal(rendering.fine.rgb, again.fine.rgb)


def step_of(renderer: Renderer, recomputed: int | None = None, seed: int = 3):
    """Gradients, and the alignment, of a masked step."""
    renderer.zero_grad()
    settings = HardwareSettings(recomputed_rays=recomputed, device="cpu")
    prepared = prepared_for_training(renderer.train(), settings, 10) if recomputed else renderer.train()
    batch = without_depths()
    features = prepared.encode(batch.references)
    rendering = prepared.render_rays(
        features, query_rays(batch), mask_ratio=0.5, generator=torch.Generator().manual_seed(seed)
    )
    total = rendering.fine.rgb.square().sum() + rendering.coarse.rgb.square().sum() + rendering.masked.prediction.sum()
    total.backward()
    gradients = {name: of.grad.clone() for name, of in renderer.named_parameters() if of.grad is not None}
    return gradients, rendering


def test_a_masked_step_repeats_and_reaches_the_token(renderer: Renderer):
    state = {name: value.clone() for name, value in renderer.state_dict().items()}
    (one, first), (other, second) = step_of(renderer), step_of(renderer)
    assert torch.equal(first.fine.rgb, second.fine.rgb)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert one["fine.aggregation.mask_token"].abs().max() > 0
    assert "coarse.aggregation.mask_token" not in one
    assert first.masked.mask.sum() > 0
    renderer.load_state_dict(state)
    assert not torch.equal(first.fine.rgb, step_of(renderer, seed=4)[1].fine.rgb)


def test_recomputed_passes_draw_the_same_again(renderer: Renderer):
    """Dropout too, though other rays are together: compared with the whole step only where there is none."""
    if renderer.aggregator.uses_dropout:
        (one, _), (other, _) = step_of(renderer, recomputed=4), step_of(renderer, recomputed=4)
        assert all(torch.equal(one[name], other[name]) for name in one)
        for layer in renderer.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
    (one, _), (other, _) = step_of(renderer), step_of(renderer, recomputed=4)
    largest = max(gradient.norm() for gradient in one.values())
    for name, gradient in one.items():
        assert (gradient - other[name]).norm() <= 1e-2 * gradient.norm() + 1e-5 * largest, name


@torch.no_grad()
def test_adaptive_rendering(renderer: Renderer):
    """Nothing left out is the same; half of the samples left out is something near."""
    batch = without_depths()
    exact, features = renderer(batch, mask_ratio=0.0), renderer.encode(batch.references)
    same, fewer = (
        concatenate(list(render_chunks_adaptively(renderer, features, batch.query, batch.pixels_xy, 4, saving)))
        for saving in (AdaptiveSettings(1, 18), AdaptiveSettings(2, 9))
    )
    whole = batch.pixels_xy == batch.pixels_xy.floor()
    assert same.fine.rgb.shape == fewer.fine.rgb.shape == exact.fine.rgb.shape
    assert fewer.fine.sample_depths.shape[1] == 9
    assert (fewer.fine.rgb - exact.fine.rgb).abs().mean() < 0.1
    assert (same.fine.rgb - exact.fine.rgb).abs().mean() < (1e-5 if whole.all() else 0.05)


@torch.no_grad()
def test_bfloat16_is_near(renderer: Renderer):
    exact = renderer(without_depths(), mask_ratio=0.0)
    near = concatenate(list(ChunkRenderer(renderer, RenderingSettings(precision="bf16-mixed"))(without_depths())))
    assert near.fine.rgb.dtype == torch.float32
    assert (near.coarse.rgb - exact.coarse.rgb).abs().mean() < 0.05


COMPILED = """
import torch
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import concatenate
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.settings.sections import ModelSettings, RenderingSettings
from tests.model.tiny import tiny_batch
for name in names:
    renderer = Renderer(ModelSettings(aggregator=name, coarse_samples=12, fine_samples=6)).eval()
    with torch.no_grad():
        exact = renderer(tiny_batch(), mask_ratio=0.0)
    same = concatenate(list(ChunkRenderer(renderer, RenderingSettings(compile=True), 16)(tiny_batch())))
    torch.testing.assert_close(same.coarse.rgb, exact.coarse.rgb, atol=1e-4, rtol=0)
    assert (same.fine.rgb - exact.fine.rgb).abs().mean() < 1e-3, name  # its depths may be others, for rounding alone
"""


@pytest.mark.long
def test_compiled_passes_render_the_same():
    """In a process of its own: the checks of shapes that tests have around every function are nothing to compile."""
    program = f"names = {OTHERS}\n{COMPILED}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
