"""Rendering as `RenderingSettings` say: exactly or adaptively, in which precision, compiled or not."""

from collections.abc import Iterator

import torch
from torch import nn

from maskrf_core.datasets.batch import SceneBatch
from maskrf_core.model.adaptive_rendering import render_chunks_adaptively
from maskrf_core.model.pass_variants import CompiledPass, check_compiler, in_bfloat16
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import Rendering
from maskrf_core.settings import RenderingSettings


def prepared(renderer: Renderer, settings: RenderingSettings, rays_per_chunk: int) -> Renderer:
    """The renderer, with its weights, in the precision that is asked for; compiled for such chunks on its first use.

    Raises:
        SettingsError: it is to be compiled, and there is no compiler.
    """

    def variant(render_pass: nn.Module) -> nn.Module:
        precise = in_bfloat16(render_pass) if settings.precision == "bf16-mixed" else render_pass
        return CompiledPass(precise, rays_per_chunk) if settings.compile else precise

    if settings.compile:
        check_compiler(next(renderer.parameters()).device, "rendering.compile")
    return renderer.with_passes(variant) if settings.compile or settings.precision != "32-true" else renderer


def rendered_chunks(
    renderer: Renderer, settings: RenderingSettings, batch: SceneBatch, rays_per_chunk: int
) -> Iterator[Rendering]:
    """Render the batch's pixels a chunk at a time, without gradients, with what `prepared` made."""
    if settings.mode == "exact":
        return renderer.render_chunks(batch, rays_per_chunk)
    with torch.inference_mode():
        features = renderer.encode(batch.references, batch.sources)
    return render_chunks_adaptively(renderer, features, batch.query, batch.pixels_xy, rays_per_chunk)
