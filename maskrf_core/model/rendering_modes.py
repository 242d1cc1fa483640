"""Rendering as `RenderingSettings` say: exactly or adaptively, in which precision, compiled or not."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from maskrf_core.datasets.batch import SceneBatch
from maskrf_core.errors import SettingsError
from maskrf_core.model.adaptive_rendering import render_chunks_adaptively
from maskrf_core.model.pass_variants import CompiledPass, in_bfloat16
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
        check_compiler(next(renderer.parameters()).device)
    return renderer.with_passes(variant) if settings.compile or settings.precision != "32-true" else renderer


def check_compiler(device: torch.device) -> None:
    """Raise `SettingsError` where torch would not find what it needs to compile: a compiler and Python's headers."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if device.type != "cpu":
        compiler = os.environ.get("CC", "gcc")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    missing = [f"the compiler {compiler}"] if shutil.which(compiler) is None else []
    missing += [] if headers.is_file() else [f"Python's headers ({headers.name})"]
    if missing:
        raise SettingsError(
            f"rendering.compile=true needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            "here. Install them (Debian, Ubuntu: apt install g++ python3-dev), name another compiler by CXX (on a GPU: "
            "CC) in the environment, or leave rendering.compile=false."
        )


def rendered_chunks(
    renderer: Renderer, settings: RenderingSettings, batch: SceneBatch, rays_per_chunk: int
) -> Iterator[Rendering]:
    """Render the batch's pixels a chunk at a time, without gradients, with what `prepared` made."""
    if settings.mode == "exact":
        return renderer.render_chunks(batch, rays_per_chunk)
    with torch.inference_mode():
        features = renderer.encode(batch.references, batch.sources)
    return render_chunks_adaptively(renderer, features, batch.query, batch.pixels_xy, rays_per_chunk)
